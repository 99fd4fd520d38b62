import json

import numpy as np
import pytest

from dropkit.records import Epoch, load_runs, read_run, run_path, write_json
from dropkit.report.curves import curves, last_values
from dropkit.report.study import load
from tests.report.fake import Fake

SMALL = {"epochs": 5, "seeds": 4, "levels": {"none": 0.02, "hidden": 0.01}}


def test_curves_are_percentiles_over_the_seeds(tmp_path):
    data = curves(load(Fake(**SMALL).write(tmp_path)))
    assert data["epochs"] == [1, 2, 3, 4, 5]
    assert [metric["name"] for metric in data["metrics"]][:2] == ["error", "loss"]
    runs = load_runs(tmp_path)
    for plan, name in enumerate(data["plans"]):
        for part in ("train", "val"):
            values = [[getattr(e, part)["nll"] for e in runs[name, seed].epochs] for seed in range(4)]
            expected = np.percentile(values, [50, 10, 90], axis=0)
            np.testing.assert_allclose(data["series"]["nll"][part][plan], expected, rtol=1e-4)


def test_lost_runs_and_missing_values_leave_gaps_not_errors(tmp_path):
    Fake(**SMALL, diverged=(("hidden", 0), ("hidden", 1), ("hidden", 2), ("hidden", 3))).write(tmp_path)
    for seed in range(4):
        path = run_path(tmp_path, "none", seed)
        run = read_run(path)
        run.epochs[1].val["error"] = float("nan")
        write_json(path, run)
    data = curves(load(tmp_path))
    assert data["series"]["error"]["train"][1] == [[None] * 5] * 3
    assert [line[1] for line in data["series"]["error"]["val"][0]] == [None] * 3
    assert data["series"]["error"]["val"][0][0][2] is not None
    json.dumps(data, allow_nan=False)


def test_runs_that_stopped_early_count_up_to_their_end(tmp_path):
    Fake(**SMALL).write(tmp_path)
    path = run_path(tmp_path, "none", 0)
    run = read_run(path)
    write_json(path, run.model_copy(update={"epochs": run.epochs[:2]}))
    last = [load_runs(tmp_path)["none", seed].epochs[-1].val["error"] for seed in (1, 2, 3)]
    median = curves(load(tmp_path))["series"]["error"]["val"][0][0]
    assert median[-1] == pytest.approx(np.median(last), rel=1e-4)


def test_long_runs_are_thinned_out_but_keep_their_ends(tmp_path):
    Fake(**SMALL).write(tmp_path)
    path = run_path(tmp_path, "none", 0)
    epochs = [Epoch(epoch=i, train={"error": 1.0}, val={"error": i / 1000}) for i in range(1, 1001)]
    write_json(path, read_run(path).model_copy(update={"epochs": epochs}))
    data = curves(load(tmp_path))
    assert len(data["epochs"]) == 200
    assert (data["epochs"][0], data["epochs"][-1]) == (1, 1000)
    assert data["series"]["error"]["val"][0][0][-1] == 1.0


def test_without_any_epoch_there_are_no_curves(tmp_path):
    lost = tuple((plan, seed) for plan in ("none", "hidden") for seed in range(4))
    assert curves(load(Fake(**SMALL, diverged=lost).write(tmp_path))) == {}


def test_the_last_value_is_the_median_after_each_runs_last_epoch(tmp_path):
    study = load(Fake(**SMALL).write(tmp_path))
    values = [run.epochs[-1].val["error"] for run in study.ok_runs("none")]
    assert last_values(study, "val", "none") == np.median(values)


def test_there_is_no_last_value_without_a_run(tmp_path):
    study = load(Fake(**SMALL, diverged=tuple(("hidden", seed) for seed in range(4))).write(tmp_path))
    assert last_values(study, "train", "hidden") is None
