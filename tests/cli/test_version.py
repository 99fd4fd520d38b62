import json

import torch

import dropkit as package


def test_version_as_text_and_as_json(dropkit):
    found = json.loads(dropkit("version", "--json").out)
    assert found["dropkit"] == package.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    lines = dict(line.split(None, 1) for line in dropkit("version").out.splitlines())
    assert lines == found
