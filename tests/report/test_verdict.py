import pytest

from dropkit.records import read_results, results_path, write_json
from dropkit.report.page import page
from dropkit.report.study import load
from dropkit.report.terminal import Summary
from dropkit.report.verdict import alarms, headline, plan_sentence, scope, sentence, warnings
from tests.report.fake import Fake

NOW = {"levels": {"none": 0.02, "hidden": 0.01}, "epochs": 2, "seeds": 6}


def made(tmp_path, **changes):
    return load(Fake(**(NOW | changes)).write(tmp_path / "study"))


def test_a_verdict_is_told_with_its_means(tmp_path):
    study = made(tmp_path)
    none, hidden = (f"{100 * study.row(plan).mean:.2f} %" for plan in ("none", "hidden"))
    assert headline(study) == f"hidden helped: test error {none} → {hidden}"
    row = study.row("hidden")
    assert sentence(study).startswith(
        f"hidden helped: error was {-100 * row.difference:.3g} percentage points lower"
    )
    assert f"{100 * row.low:.3g} to {100 * row.high:.3g}, p = " in sentence(study)
    assert alarms(study) == []
    assert warnings(study) == []
    assert "on this one split of the data and this test set" in scope(study)
    assert "Holm" not in scope(study)


def test_the_means_told_are_those_compared_where_seeds_were_dropped(tmp_path):
    study = made(tmp_path)
    results = read_results(study.folder)
    row, base = results.plans["hidden"], results.plans["none"]
    row.seeds, row.values, row.n, row.mean = row.seeds[1:], row.values[1:], 5, sum(row.values[1:]) / 5
    write_json(results_path(study.folder), results)
    study = load(study.folder)
    paired = f"{100 * sum(base.values[1:]) / 5:.2f} %"
    assert f"test error {paired} → {100 * row.mean:.2f} %" in headline(study)
    assert f"{paired}</b>" in page(study)
    assert paired != f"{100 * base.mean:.2f} %"


def test_the_other_verdicts(tmp_path):
    study = made(tmp_path, levels={"none": 0.01, "hidden": 0.02})
    assert headline(study).startswith("hidden hurt: test error")
    study = load(Fake(**(NOW | {"levels": {"none": 0.01, "hidden": 0.0100001}})).write(tmp_path / "same"))
    if study.results.verdict == "no difference":  # else chance found one
        assert headline(study).startswith("hidden: no difference found, test error")


def test_the_sentence_is_in_the_unit_of_the_table(tmp_path):
    shares = made(tmp_path, levels={"none": 0.02, "a": 0.01, "b": 0.01})
    for plan in shares.others:
        text, row = plan_sentence(shares, plan), shares.row(plan)
        assert f"{100 * abs(row.difference):.3g} percentage points lower" in text
        assert f"{100 * row.low:.3g} to {100 * row.high:.3g}, Holm-adjusted p" in text
    for text in (str(Summary(shares)), page(shares)):
        assert "percentage points" in text
        assert shares.row("a").sentence not in " ".join(text.split())
    others = load(Fake(**(NOW | {"task": "regression", "metric": "rmse"})).write(tmp_path / "rmse"))
    assert sentence(others) == others.results.sentence == others.row("hidden").sentence


def test_a_sentence_that_is_no_comparison_is_told_as_it_is(tmp_path):
    study = made(tmp_path)
    results = read_results(study.folder)
    results.sentence = "Incomplete, no verdict: the runs were lost."
    write_json(results_path(study.folder), results)
    assert sentence(load(study.folder)) == results.sentence


def test_splits_and_several_plans_are_told(tmp_path):
    study = made(tmp_path, levels={"none": 0.02, "a": 0.01, "b": 0.01})
    assert "Of 2 plans, validation chose the one in the headline; all are judged together, by Holm" in scope(
        study
    )
    results = read_results(study.folder)
    results.resplit = True
    write_json(results_path(study.folder), results)
    assert "corrected resampled t" in scope(load(study.folder))


def test_lost_runs_are_alarms(tmp_path):
    study = made(
        tmp_path,
        diverged=(("hidden", 2), ("hidden", 3), ("none", 0)),
        failed=(("none", 1),),
        missing=(("none", 4), ("hidden", 5)),
    )
    missing, diverged, failed = alarms(study)
    assert missing.startswith("2 of 12 runs missing: start the study again with this folder")
    assert "3 runs diverged" in diverged
    assert "hidden (seeds 2, 3), none (seed 0)" in diverged
    assert failed == "1 run failed: none (seed 1). Said: MemoryError: out of memory."
    assert headline(study) == "Incomplete: no verdict"
    assert scope(study) == ""


def test_many_lost_seeds_are_counted(tmp_path):
    study = made(tmp_path, seeds=30, diverged=tuple(("hidden", seed) for seed in range(30)))
    assert "11 and 18 more)" in alarms(study)[0]


@pytest.mark.parametrize("seeds", [2, 5])
def test_few_seeds_are_a_warning(tmp_path, seeds):
    assert any(
        "sign-flip" in text and "cannot reach" in text for text in warnings(made(tmp_path, seeds=seeds))
    )


def test_a_warning_is_given_once(tmp_path):
    study = made(tmp_path, seeds=4)
    study.row("hidden").warnings.append(study.results.warnings[0])
    assert len(warnings(study)) == len(set(warnings(study))) == len(study.results.warnings)


def test_an_unfinished_study_says_how_far_it_is(tmp_path):
    study = made(tmp_path, results=False, missing=(("hidden", 5),))
    assert headline(study) == "Not finished: 11 of 12 runs are there"
    assert "no verdict until all its runs are there" in sentence(study)
