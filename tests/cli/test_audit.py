import json


def test_a_model_without_and_with_example_inputs(dropkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_models.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def bare():\n    return nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2))\n"
        "def example():\n    return bare(), torch.ones(2, 3)\n"
        "def nothing():\n    return 3\n"
    )
    text = dropkit("audit", "their_models:bare").out
    assert "no example input" in text
    body = json.loads(dropkit("audit", "their_models:example", "--json").out)
    assert [(site["id"], site["rate"], site["shape"]) for site in body["sites"]] == [("1", 0.2, [2, 3])]
    assert [w["code"] for w in body["warnings"]] == ["dropout-after-last-layer"]
    answer = dropkit("audit", "their_models:nothing")
    assert answer.code == 2
    assert "must return a torch.nn.Module" in answer.err


def test_a_factory_that_is_not_there(refused):
    assert "there is no module 'not_there'" in refused("audit", "not_there:make")
