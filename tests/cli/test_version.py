import json
import os

import pytest
import torch

import dropkit as package
from dropkit.ops.kernels import status


def test_version_as_text_and_as_json(dropkit):
    found = json.loads(dropkit("version", "--json").out)
    assert found["dropkit"] == package.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    kernels = status()
    assert found["kernels"] == f"{kernels.active} ({kernels.reason})"
    lines = dict(line.split(None, 1) for line in dropkit("version").out.splitlines())
    assert lines == found


def test_the_option_is_the_same_as_the_command(dropkit):
    answer = dropkit("--version")
    assert (answer.code, answer.out, answer.err) == (0, dropkit("version").out, "")


def test_ci_has_the_native_kernels():
    if "CI" not in os.environ:
        pytest.skip("not in CI: the kernels are optional here")
    assert status().active != "reference"
