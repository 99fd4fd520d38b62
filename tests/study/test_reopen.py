"""A run can be opened again: the same model that was tested, whichever way it is named."""

import shutil

import pytest

import dropkit as dk
from dropkit import records
from dropkit.core import FolderError, InputError, NoMatchError
from dropkit.study import find_run, intervals, reopen, sample
from tests.study.small import study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "study"
    scaled = {"rules": [{"at": "hidden", "rate": [0.4, 0.6], "options": {"scaling": "test"}}]}
    return dk.run_study(study(plans={"none": {"rules": []}, "grid": scaled}), out=folder, workers=2)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression") / "study"
    tables = study(metric="rmse", data={"name": "tests.study.factories:line"}, keep_weights=True)
    tables["model"] = {"name": "mlp", "widths": [8]}
    dk.run_study(tables, out=folder, workers=2)
    return folder


@pytest.mark.parametrize("plan", ["none", "grid@0.4", "grid@0.6"])
def test_its_test_metrics_are_those_of_the_record(finished, plan):
    with reopen(finished.path, plan, 1) as run:
        found = sample(run, run.data.test, members=0)
        assert not run.model.training
    record = records.load_runs(finished.path)[plan, 1]
    for name, value in found.metrics("plain").items():
        assert value == record.test[name]
    assert found.mean is found.entropy is found.standard_error is None


def test_the_members_are_those_of_predict(finished):
    plan = finished.plans["grid"].chosen
    with reopen(finished.path, plan, 0) as run:
        found, again = (sample(run, run.data.test, members=20, mode=mode) for mode in ("loop", "expand"))
        other = sample(run, run.data.test, members=20, seed=4)
        x = run.data.test[:][0]
        direct = dk.predict(run.model, x, members=20, seed=4, task="classification")
    assert abs(found.mean - again.mean).max() < 1e-5
    assert abs(other.mean - direct.mean.double().numpy()).max() < 1e-6
    assert abs(other.mean - found.mean).max() > 1e-5
    assert abs(found.standard_error**2 * 20 - found.variance).max() < 1e-12
    assert set(found.metrics("mean")) == {"accuracy", "nll", "brier", "ece"}


def test_a_plan_without_dropout_cannot_be_sampled_from(finished):
    with reopen(finished.path, "none", 0) as run, pytest.raises(NoMatchError, match="not random"):
        sample(run, run.data.test)


def test_regression_is_in_the_targets_own_unit_with_conformal_intervals(regression):
    with reopen(regression, "hidden", 0) as run:
        found, fitted = (sample(run, part, members=10) for part in (run.data.test, run.data.val))
    record = records.load_runs(regression)["hidden", 0]
    assert found.metrics("plain")["rmse"] == pytest.approx(record.test["rmse"], rel=1e-5)
    low, high = intervals(fitted, fitted, 0.8)
    slack = 1e-9  # one target lies at an end, but for rounding
    inside = ((low - slack <= fitted.target) & (fitted.target <= high + slack)).mean(axis=0)
    rank = -(-(len(low) + 1) * 8 // 10)
    assert (inside == rank / len(low)).all()  # exactly as many as the quantile says
    assert intervals(fitted, found, 0.8)[0].shape == found.target.shape
    with reopen(regression, "hidden", 0) as run:
        plain = sample(run, run.data.test, members=0)
    with pytest.raises(InputError, match="need members"):
        intervals(plain, plain, 0.8)


def test_a_run_is_found_by_all_its_names(finished):
    folder, plan = finished.path, finished.plans["grid"].chosen
    assert find_run(str(folder)) == (folder, plan, 0)
    assert find_run(f"{folder}:none--1") == (folder, "none", 1)
    assert find_run(f"{folder}/runs/grid@0.4--1.json") == (folder, "grid@0.4", 1)


@pytest.mark.parametrize("tail", [":none--7", ":nine", "/runs/none--7.json", "/nowhere", "/runs"])
def test_a_run_that_is_not_there_is_refused(finished, tail):
    with pytest.raises(FolderError):
        find_run(f"{finished.path}{tail}")


def test_an_unfinished_study_has_no_best_plan_yet(finished, tmp_path):
    folder = shutil.copytree(finished.path, tmp_path / "study")
    records.results_path(folder).unlink()
    with pytest.raises(FolderError, match=r"is not finished, .* name a run: grid@0\.4--0, "):
        find_run(str(folder))
    assert find_run(f"{folder}:none--1") == (folder, "none", 1)


def test_a_plan_that_is_not_there_is_refused_with_the_nearest(finished):
    with pytest.raises(LookupError, match=r"did you mean 'grid@0\.[46]'"):
        reopen(finished.path, "grid@0.5", 0).__enter__()


def test_without_kept_weights_it_says_so_and_what_to_do(tmp_path):
    dk.run_study(study(keep_weights=False), out=tmp_path / "study", workers=2)
    assert not list((tmp_path / "study" / "checkpoints").iterdir())
    assert "keep_weights = false" in (tmp_path / "study" / "config.toml").read_text()
    with pytest.raises(FolderError, match="were not kept"):
        reopen(tmp_path / "study", "hidden", 0).__enter__()


def test_a_run_that_diverged_is_refused(tmp_path):
    dk.run_study(study(train={"lr": 1e30}), out=tmp_path / "study", workers=2)
    with pytest.raises(FolderError, match="diverged; choose another run"):
        reopen(tmp_path / "study", "hidden", 0).__enter__()
    with pytest.raises(FolderError, match="no best plan"):
        find_run(str(tmp_path / "study"))
