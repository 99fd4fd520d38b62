import json

from dropkit import zoo


def test_fetch_says_where_the_data_is(dropkit, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(zoo, "fetch", lambda name, dir: asked.append((name, dir)) or tmp_path)
    assert dropkit("data", "fetch", "mnist").out == f"mnist is in {tmp_path}\n"
    answer = json.loads(dropkit("data", "fetch", "mnist", "--dir", tmp_path, "--json").out)
    assert answer == {"name": "mnist", "dir": str(tmp_path)}
    assert asked == [("mnist", None), ("mnist", tmp_path)]


def test_an_unknown_set_gets_the_nearest_one(refused):
    assert "did you mean 'mnist'?" in refused("data", "fetch", "mnits")
