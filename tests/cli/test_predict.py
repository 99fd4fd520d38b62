"""``dropkit predict``: what it prints and writes, and all that it refuses."""

import csv
import json

import numpy as np
import pytest

import dropkit as dk
from tests.study.small import study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("predict") / "study"
    dk.run_study(study(), out=place, workers=2)
    return place


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    place = tmp_path_factory.mktemp("predict") / "regression"
    tables = study(metric="rmse", data={"name": "tests.study.factories:line"})
    tables["model"] = {"name": "mlp", "widths": [8]}
    dk.run_study(tables, out=place, workers=2)
    return place


def test_it_prints_a_summary_and_the_least_certain_rows(dropkit, folder):
    answer = dropkit("predict", folder, "test", "--members", 20, "--top", 3)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("hidden--0 on test: 24 rows, 20 members (")
    assert lines[1].split() == ["accuracy", "nll", "brier", "ece"]
    assert [line.split()[0] for line in lines[2:4]] == ["scaled", "Monte"]
    assert lines[5] == "the 3 least certain rows"
    assert len(lines) == 6 + 1 + 3
    entropies = [float(line.split()[4]) for line in lines[7:]]
    assert entropies == sorted(entropies, reverse=True)


def test_csv_npz_and_json_say_the_same(dropkit, folder, tmp_path):
    run = f"{folder}:hidden--1"
    files = ("--csv", tmp_path / "p.csv", "--npz", tmp_path / "p.npz")
    found = json.loads(dropkit("predict", run, "val", "--members", 5, "--json", *files).out)
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    arrays = np.load(tmp_path / "p.npz")
    assert found["run"] == "hidden--1"
    assert set(found["metrics"]) == {"scaled weights", "Monte Carlo"}
    assert len(found["rows"]) == len(rows) == len(arrays["mean"]) == len(arrays["scaled_weights"])
    for i, (row, line) in enumerate(zip(found["rows"], rows, strict=True)):
        assert list(row) == list(line)
        assert row["index"] == i
        for name, value in row.items():
            assert float(line[name]) == value == arrays[name][i]
        assert row["probability"] == arrays["mean"][i].max()
        assert row["prediction"] == arrays["mean"][i].argmax()
        assert 0 <= row["mutual_information"] <= row["entropy"]


def test_masks_follow_the_seed(dropkit, folder):
    def entropies(*options):
        answer = dropkit("predict", folder, "test", "--members", 5, "--json", *options)
        return [row["entropy"] for row in json.loads(answer.out)["rows"]]

    first = entropies("--mode", "loop")
    assert entropies("--mode", "loop") == first
    assert entropies("--mode", "loop", "--seed", 1) != first
    assert entropies("--mode", "loop", "--fresh-masks") != first


def test_a_file_without_labels(dropkit, folder, tmp_path):
    np.savez(tmp_path / "new.npz", x=np.ones((3, 4), np.float32))
    answer = dropkit("predict", folder, tmp_path / "new.npz")
    assert answer.code == 0, answer.err
    assert "labels are not known" in answer.out
    assert "label " not in answer.out.splitlines()[4]
    assert json.loads(dropkit("predict", folder, tmp_path / "new.npz", "--json").out)["metrics"] == {}


def test_a_regression_has_intervals_in_its_own_unit(dropkit, regression):
    answer = dropkit("predict", regression, "test", "--level", 0.8, "--members", 10)
    assert answer.code == 0, answer.err
    assert "in their 80% intervals" in answer.out
    assert answer.out.splitlines()[1].split() == ["rmse", "mae", "r2", "log-likelihood"]
    found = json.loads(dropkit("predict", regression, "test", "--members", 10, "--json").out)
    assert found["level"] == 0.9
    assert found["metrics"]["Monte Carlo"]["log_likelihood"] < 0
    for row in found["rows"]:
        assert row["low_0"] < row["mean_0"] < row["high_0"]
        assert row["standard_error_1"] == pytest.approx(row["sd_1"] / 10**0.5)
    assert sum(row["sd_1"] for row in found["rows"]) > 0


def test_a_regression_without_targets(dropkit, regression, tmp_path):
    np.savez(tmp_path / "new.npz", x=np.array([[2, 1, 0], [0, 1, 2], [-1, 0, -1]], np.float32))
    answer = dropkit("predict", regression, tmp_path / "new.npz", "--csv", tmp_path / "p.csv")
    assert answer.code == 0, answer.err
    assert "targets are not known" in answer.out
    assert answer.err == f"{tmp_path / 'p.csv'}: 3 rows\n"
    assert json.loads(dropkit("predict", regression, tmp_path / "new.npz", "--json").out)["metrics"] == {}


def test_what_it_refuses(refused, folder, tmp_path):
    assert "no dropout" in refused("predict", f"{folder}:none--0", "test")
    assert "choose a run of a plan with dropout" in refused("predict", f"{folder}:none--0", "test")
    assert "none--9" in refused("predict", f"{folder}:none--9", "test")
    assert "is no run" in refused("predict", tmp_path / "nowhere", "test")
    assert "study.json" in refused("predict", tmp_path, "test")
    assert "did you mean 'test'" in refused("predict", folder, "tset")
    assert "there is no file" in refused("predict", folder, tmp_path / "no.csv")
    assert "level must be in (0, 1)" in refused("predict", folder, "test", "--level", 1)
    assert "--members" in refused("predict", folder, "test", "--members", 1)
    assert "--mode" in refused("predict", folder, "test", "--mode", "fast")
    np.savez(tmp_path / "wide.npz", x=np.ones((3, 5)))
    assert "must have shape (4,)" in refused("predict", folder, tmp_path / "wide.npz")


def test_no_file_is_written_over_that_is_read_or_written(refused, folder, tmp_path):
    rows = tmp_path / "new.npz"
    np.savez(rows, x=np.ones((3, 4), np.float32))
    before = rows.read_bytes()
    assert "new.npz is asked about" in refused("predict", folder, rows, "--npz", rows)
    assert rows.read_bytes() == before
    both = tmp_path / "out"
    assert "name another file" in refused("predict", folder, rows, "--npz", both, "--csv", both)
    assert not both.exists()
