"""Predictions of the best plan and the baseline: recorded once, equal bytes for equal studies, never in the way."""

import numpy as np
import pytest
import torch

import dropkit as dk
from dropkit import records
from dropkit.study import central_levels, log_likelihood, reopen, sample
from dropkit.study.asking import SHOWN
from dropkit.study.pictures import pictures
from tests.study.small import study

IMAGES = {"data": {"name": "digits", "subset": 200}, "model": {"name": "mlp", "widths": [8]}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    place = tmp_path_factory.mktemp("asked")
    return dk.run_study(study(), out=place / "a", workers=2), place


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / "predictions").iterdir()}


def test_the_best_plan_and_the_baseline_are_recorded(finished):
    result, _ = finished
    found = records.load_predictions(result.path)
    assert list(found) == [("hidden", 0), ("none", 0)]
    with reopen(result.path, "hidden", 0) as run:
        same = sample(run, run.data.test, members=50, mode="loop")
    hidden, none = found.values()
    assert hidden.members == 50
    assert hidden.label == same.target.tolist()
    np.testing.assert_allclose(hidden.sampled.uncertainty["entropy"], same.entropy, rtol=1e-5)
    np.testing.assert_allclose(
        hidden.sampled.uncertainty["mutual information"], same.mutual_information, rtol=1e-5
    )
    assert hidden.sampled.predicted == same.mean.argmax(axis=1).tolist()
    assert hidden.plain.metrics["nll"] == pytest.approx(
        records.load_runs(result.path)["hidden", 0].test["nll"], rel=1e-5
    )
    assert np.mean(hidden.plain.loss) == pytest.approx(1 - hidden.plain.metrics["accuracy"], abs=1e-6)
    assert none.sampled is None
    assert none.reason is None
    assert none.plain.uncertainty.keys() == {"entropy"}


def test_equal_studies_give_equal_bytes_and_what_is_there_stays(finished):
    result, place = finished
    again = dk.run_study(study(), out=place / "b", workers=1)
    assert contents(again.path) == contents(result.path)
    before = {path: path.stat().st_mtime_ns for path in (again.path / "predictions").iterdir()}
    dk.run_study(study(), out=again.path)
    assert {path: path.stat().st_mtime_ns for path in (again.path / "predictions").iterdir()} == before
    (again.path / "predictions" / "none--0.json").write_text("{")
    (again.path / "runs" / "hidden--0.json").unlink()
    dk.run_study(study(), out=again.path)
    assert contents(again.path) == contents(result.path)


def test_without_weights_nothing_is_recorded(tmp_path):
    dk.run_study(study(keep_weights=False), out=tmp_path / "study", workers=2)
    assert records.load_predictions(tmp_path / "study") == {}


def test_a_plan_that_cannot_be_sampled_says_why_and_the_study_is_done(tmp_path):
    plans = {"none": {"rules": []}, "zero": {"rules": [{"at": "hidden", "rate": 0.0}]}}
    result = dk.run_study(study(plans=plans), out=tmp_path / "study", workers=2)
    assert result.verdict == "no difference"
    found = records.load_predictions(result.path)["zero", 0]
    assert found.sampled is None
    assert "all members are equal" in found.reason
    assert found.plain is not None


def test_a_run_that_cannot_be_opened_any_more_is_no_failure(tmp_path):
    result = dk.run_study(study(), out=tmp_path / "study", workers=2)
    (result.path / "predictions" / "none--0.json").unlink()
    records.weights_path(result.path, "none", 0).write_bytes(b"nonsense")
    assert dk.run_study(study(), out=result.path).verdict == result.verdict
    found = records.load_predictions(result.path)["none", 0]
    assert found.plain is None
    assert "damaged" in found.reason


def test_images_are_kept_of_the_telling_examples(tmp_path):
    result = dk.run_study(study(**IMAGES), out=tmp_path / "study", workers=2)
    found = records.load_predictions(result.path)["hidden", 0]
    rows = [picture.row for picture in found.pictures]
    order = np.argsort(found.sampled.uncertainty["entropy"], kind="stable")
    assert {*order[:SHOWN], *order[-SHOWN:]} <= set(rows)
    assert len(rows) <= 3 * SHOWN
    with reopen(result.path, "hidden", 0) as run:
        image = run.data.test[rows[0]][0]
    first = found.pictures[0]
    assert (first.height, first.width, first.channels) == (8, 8, 1)
    assert list(first.content) == (image * 255).round().flatten().int().tolist()  # digits reach from 0 to 1


def test_large_images_are_made_small_and_odd_ones_left_out():
    images = torch.zeros(4, 3, 64, 100)
    images[1, 0] = 2.0
    part = torch.utils.data.TensorDataset(images, torch.zeros(4))
    found = pictures(part, [0, 1])
    assert [(p.row, p.height, p.width, p.channels) for p in found] == [(0, 20, 32, 3), (1, 20, 32, 3)]
    assert found[1].content == bytes([255, 0, 0]) * (20 * 32)
    assert pictures(torch.utils.data.TensorDataset(images[:, :2]), [0]) == []


def test_a_regression_has_losses_and_deviations(tmp_path):
    tables = study(metric="rmse", data={"name": "tests.study.factories:line"})
    tables["model"] = {"name": "mlp", "widths": [8]}
    result = dk.run_study(tables, out=tmp_path / "study", workers=2)
    found = records.load_predictions(result.path)["hidden", 0]
    assert found.label == found.pictures == found.plain.predicted == []
    assert np.mean(found.plain.loss) == pytest.approx(found.plain.metrics["rmse"] ** 2, rel=1e-2)
    assert found.sampled.uncertainty.keys() == {"sd"}
    assert found.plain.uncertainty == {}
    with reopen(result.path, "hidden", 0) as run:
        parts = [
            sample(run, part, members=50, mode="loop", keep_members=True)
            for part in (run.data.val, run.data.test)
        ]
    for answers, which in ((found.plain, "plain"), (found.sampled, "mean")):
        np.testing.assert_allclose(answers.level, central_levels(*parts, which).ravel(), rtol=1e-5, atol=1e-9)
        assert answers.metrics["log_likelihood"] == pytest.approx(log_likelihood(*parts, which), rel=1e-5)
    assert records.load_predictions(result.path)["none", 0].plain.metrics["log_likelihood"] < 0
