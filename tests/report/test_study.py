from statistics import fmean, median, stdev

import pytest

from dropkit.core import FolderError
from dropkit.records import load_runs, load_timings, read_run, run_path, write_json
from dropkit.report.study import load
from tests.report.fake import Fake

SMALL = {"epochs": 3, "seeds": 4}


def test_plans_begin_with_baseline_and_best(tmp_path):
    study = load(Fake(levels={"none": 0.02, "bad": 0.03, "good": 0.01}, seeds=4, epochs=60).write(tmp_path))
    assert study.plans == ["none", "good", "bad"]
    assert study.others == ["good", "bad"]


def test_a_grids_plan_stands_for_its_chosen_candidate(tmp_path):
    study = load(
        Fake(levels={"none": 0.02, "hidden": 0.01}, grid={"0.1": 0.01, "0.5": 0.0}, **SMALL).write(tmp_path)
    )
    assert study.plans == ["none", "hidden"]
    assert {run.plan for run in study.runs_of("hidden")} == {"hidden@0.5"}
    assert study.expected == 12
    assert study.missing == 0


def test_numbers_are_those_of_the_records(tmp_path):
    study = load(Fake(**SMALL, diverged=(("hidden", 1),)).write(tmp_path))
    runs = [run for (plan, _), run in load_runs(tmp_path).items() if plan == "hidden" and run.status == "ok"]
    assert study.tests("hidden", "nll") == [run.test["nll"] for run in runs]
    assert study.trained("hidden", "error") == pytest.approx(
        fmean(run.epochs[-1].train["error"] for run in runs)
    )
    recall = [run.test["per_class"]["recall"][4] for run in runs]
    assert study.per_class("hidden", "recall")[4] == pytest.approx(fmean(recall))
    steps = {
        plan: median(
            time.step_seconds for (found, _), time in load_timings(tmp_path).items() if found == plan
        )
        for plan in ("none", "hidden")
    }
    assert study.step_seconds("hidden") == steps["hidden"]
    assert study.cost("hidden") == steps["hidden"] / steps["none"]


def test_the_tested_epoch_is_the_best_one_where_that_is_recorded(tmp_path):
    Fake(**SMALL).write(tmp_path)
    for seed in range(4):
        path = run_path(tmp_path, "none", seed)
        run = read_run(path)
        write_json(path, run.model_copy(update={"best_epoch": 2}))
    runs = [run for (plan, _), run in load_runs(tmp_path).items() if plan == "none"]
    assert load(tmp_path).trained("none", "error") == pytest.approx(
        fmean(r.epochs[1].train["error"] for r in runs)
    )


def test_without_results_there_are_means_and_no_verdict(tmp_path):
    lost = tuple(("input-hidden", seed) for seed in range(4))
    study = load(Fake(**SMALL, results=False, missing=lost, diverged=(("hidden", 0),)).write(tmp_path))
    assert not study.finished
    assert study.results.verdict == "incomplete"
    assert study.missing == 4
    hidden, absent = study.row("hidden"), study.row("input-hidden")
    assert (hidden.mean, hidden.sd) == (fmean(hidden.values), stdev(hidden.values))
    assert (hidden.n, hidden.seeds, hidden.diverged) == (3, [1, 2, 3], 1)
    assert (absent.mean, absent.n) == (None, 0)


def test_without_results_the_candidates_of_a_grid_are_rows(tmp_path):
    fake = Fake(levels={"none": 0.02, "hidden": 0.01}, grid={"0.1": 0.01, "0.5": 0.0}, results=False, **SMALL)
    assert load(fake.write(tmp_path)).plans == ["none", "hidden@0.1", "hidden@0.5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("not toml", "is damaged"), ('metric = "error"\n', "names no metric, no plans or no baseline")],
)
def test_a_damaged_config_is_refused(tmp_path, text, message):
    Fake(**SMALL, results=False).write(tmp_path)
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(FolderError, match=message):
        load(tmp_path)


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(FolderError, match="is no study's folder"):
        load(tmp_path)


def test_without_results_a_lost_run_counts_in_no_mean_even_if_it_has_test_metrics(tmp_path):
    Fake(**SMALL, results=False).write(tmp_path)
    path = run_path(tmp_path, "hidden", 0)
    write_json(path, read_run(path).model_copy(update={"status": "diverged"}))
    row = load(tmp_path).row("hidden")
    assert (row.seeds, row.diverged) == ([1, 2, 3], 1)
