"""From records to the answer, on records made up so that the answer is known."""

import statistics

import numpy as np
import pytest

from dropkit import stats
from dropkit.records import Epoch, Fingerprint, RunRecord
from dropkit.study.analyse import analyse
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.preflight import Facts
from tests.study.small import study

KNOWN_BY = Fingerprint(data="0" * 64, model="1" * 64)
FACTS = Facts("classification", (80, 20, 50), ("a", "b", "c"), 1.0, KNOWN_BY)
HIDDEN = {"rules": [{"at": "hidden", "rate": 0.5}]}
INPUT = {"rules": [{"at": "input", "rate": 0.2}]}
SEEDS = 8


def record(plan, seed, *, val, test, status="ok", train=0.0, early=False, metric="error"):
    epochs = [Epoch(epoch=1, train={metric: 0.9}, val={metric: 0.9})]
    epochs.insert(0 if early else 1, Epoch(epoch=2, train={metric: train}, val={metric: val}))
    epochs = [epoch.model_copy(update={"epoch": i}) for i, epoch in enumerate(epochs, start=1)]
    if status != "ok":
        return RunRecord(plan=plan, seed=seed, status=status, epochs=[], error="why")
    best = 1 if early else None
    return RunRecord(plan=plan, seed=seed, status="ok", epochs=epochs, test={metric: test}, best_epoch=best)


@pytest.fixture
def made(seed):
    """Return a maker of records: each plan's validation and test values are its level plus noise."""
    noise = np.random.default_rng(seed)

    def make(levels, **options):
        return {
            (plan, s): record(
                plan, s, val=val + 1e-3 * noise.random(), test=test + 1e-3 * noise.random(), **options
            )
            for plan, (val, test) in levels.items()
            for s in range(SEEDS)
        }

    return make


def answer(tables, runs):
    config = load_config(tables)
    return analyse(config, candidates(config), runs, FACTS)


def three(**changes):
    plans = {"none": {"rules": []}, "hidden": HIDDEN, "input": INPUT}
    return study(**({"seeds": SEEDS, "plans": plans} | changes))


def column(runs, plan, part="test"):
    if part == "test":
        return [runs[plan, s].test["error"] for s in range(SEEDS)]
    return [runs[plan, s].epochs[-1].val["error"] for s in range(SEEDS)]


def test_rows_are_those_of_the_statistics(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.3)}, train=0.1)
    found = answer(three(), runs)
    expected = stats.compare_many(
        column(runs, "none"),
        {name: column(runs, name) for name in ("hidden", "input")},
        baseline_name="none",
        metric="error",
    )
    for name, comparison in expected.items():
        row = found.plans[name]
        for key in ("difference", "low", "high", "level", "p", "p_adjusted", "p_permutation", "min_p", "mde"):
            assert getattr(row, key) == getattr(comparison, key)
        assert (row.verdict, row.sentence, row.n) == (comparison.verdict, comparison.sentence, SEEDS)
        spread = stats.variance_ratio(column(runs, "none"), column(runs, name))
        assert (row.variance_ratio.ratio, row.variance_ratio.p) == (spread.ratio, spread.p)
    for name, row in found.plans.items():
        assert row.mean == pytest.approx(statistics.fmean(column(runs, name)))
        assert row.sd == pytest.approx(statistics.stdev(column(runs, name)))
        assert row.validation == pytest.approx(statistics.fmean(column(runs, name, "val")))
        assert row.gap == pytest.approx(0.1 - row.mean)
        assert row.values == column(runs, name)
        assert (row.diverged, row.failed) == (0, 0)
    assert found.plans["none"].verdict is None
    assert found.plans["none"].p is None
    assert (found.best, found.verdict) == ("hidden", "helped")
    assert found.sentence == expected["hidden"].sentence
    assert (found.task, found.class_names, found.seeds) == (
        "classification",
        ["a", "b", "c"],
        list(range(SEEDS)),
    )
    assert (found.larger_is_better, found.test_train_ratio) == (False, None)


def test_the_test_part_chooses_nothing(made):
    # On the test part "input" is far better, on validation "hidden" is.
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.4), "input": (0.25, 0.1)})
    found = answer(three(), runs)
    assert (found.best, found.verdict) == ("hidden", "hurt")
    assert found.plans["input"].verdict == "helped"


def test_larger_may_be_better(made):
    runs = made({"none": (0.7, 0.7), "hidden": (0.8, 0.8), "input": (0.75, 0.6)}, metric="accuracy")
    found = answer(three(metric="accuracy"), runs)
    assert (found.best, found.verdict, found.larger_is_better) == ("hidden", "helped", True)
    assert found.plans["input"].verdict == "hurt"


def test_validation_chooses_the_rate(made):
    levels = {
        "none": (0.3, 0.3),
        "hidden@0.3": (0.25, 0.1),
        "hidden@0.5": (0.2, 0.2),
        "hidden@0.7": (0.22, 0.05),
    }
    plans = {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": [0.3, 0.5, 0.7]}]}}
    runs = made(levels)
    row = answer(study(seeds=SEEDS, plans=plans), runs).plans["hidden"]
    assert row.chosen == "hidden@0.5"
    assert row.values == column(runs, "hidden@0.5")
    assert {name: found.n for name, found in row.candidates.items()} == {
        "hidden@0.3": SEEDS,
        "hidden@0.5": SEEDS,
        "hidden@0.7": SEEDS,
    }
    for name, found in row.candidates.items():
        assert found.validation == pytest.approx(statistics.fmean(column(runs, name, "val")))


def test_a_candidate_that_lost_a_run_is_not_chosen_over_one_that_did_not(made):
    levels = {"none": (0.3, 0.3), "hidden@0.3": (0.2, 0.2), "hidden@0.5": (0.1, 0.1)}
    plans = {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": [0.3, 0.5]}]}}
    runs = made(levels)
    runs["hidden@0.5", 3] = record("hidden@0.5", 3, val=0, test=0, status="diverged")
    found = answer(study(seeds=SEEDS, plans=plans), runs)
    assert found.plans["hidden"].chosen == "hidden@0.3"
    assert found.verdict == "helped"


@pytest.mark.parametrize("status", ["failed", "missing"])
def test_a_candidate_that_failed_leaves_the_choice_open(made, status):
    levels = {"none": (0.3, 0.3), "hidden@0.3": (0.2, 0.2), "hidden@0.5": (0.1, 0.1)}
    plans = {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": [0.3, 0.5]}]}}
    runs = made(levels)
    assert answer(study(seeds=SEEDS, plans=plans), runs).verdict == "helped"
    if status == "missing":
        del runs["hidden@0.5", 3]
    else:
        runs["hidden@0.5", 3] = record("hidden@0.5", 3, val=0, test=0, status=status)
    found = answer(study(seeds=SEEDS, plans=plans), runs)
    assert found.plans["hidden"].chosen == "hidden@0.3"
    assert found.plans["hidden"].verdict == found.verdict == "incomplete"
    assert f"(hidden@0.5 at 1 of {SEEDS} seeds)" in found.sentence


@pytest.mark.parametrize("plan", ["none", "hidden", "input"])
@pytest.mark.parametrize("status", ["diverged", "failed", "missing"])
def test_a_lost_run_makes_the_verdict_incomplete(made, plan, status):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)})
    if status == "missing":
        del runs[plan, 2]
    else:
        runs[plan, 2] = record(plan, 2, val=0, test=0, status=status)
    found = answer(three(), runs)
    assert found.verdict == "incomplete"
    assert f"{plan} at 1 of {SEEDS} seeds" in found.sentence
    lost = found.plans[plan].diverged if status == "diverged" else found.plans[plan].failed
    assert lost == 1
    judged = {name for name, row in found.plans.items() if row.verdict == "helped"}
    assert judged == ({"hidden", "input"} - {plan} if plan != "none" else set())


def test_diverged_seeds_can_be_dropped_from_both_sides(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)})
    runs["hidden", 2] = record("hidden", 2, val=0, test=0, status="diverged")
    runs["none", 5] = record("none", 5, val=0, test=0, status="diverged")
    found = answer(three(drop_diverged=True), runs)
    kept = [s for s in range(SEEDS) if s not in (2, 5)]
    row = found.plans["hidden"]
    assert (row.diverged, row.n, row.seeds) == (1, 6, kept)
    pairs = [[runs[plan, s].test["error"] for s in kept] for plan in ("none", "hidden")]
    assert row.difference == pytest.approx(stats.compare(*pairs).difference, rel=1e-12)
    assert found.plans["input"].seeds == [s for s in range(SEEDS) if s != 5]
    assert (found.plans["none"].diverged, found.plans["none"].n) == (1, 7)
    assert (found.best, found.verdict) == ("hidden", "helped")
    assert any("left out" in warning for warning in found.warnings)


def test_dropping_does_not_excuse_failure_and_needs_two_pairs(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)})
    runs["hidden", 2] = record("hidden", 2, val=0, test=0, status="failed")
    assert answer(three(drop_diverged=True), runs).verdict == "incomplete"
    for s in range(SEEDS - 1):
        runs["hidden", s] = record("hidden", s, val=0, test=0, status="diverged")
        runs["input", s] = record("input", s, val=0, test=0, status="diverged")
    runs["hidden", SEEDS - 1] = record("hidden", SEEDS - 1, val=0, test=0)
    found = answer(three(drop_diverged=True), runs)
    assert (found.verdict, found.best) == ("incomplete", None)
    assert "too few seeds" in found.sentence
    assert not any("verdict" in text for text in found.warnings)


def test_a_metric_that_is_not_finite_counts_as_diverged(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)})
    runs["hidden", 1] = runs["hidden", 1].model_copy(update={"test": {"error": None}})
    found = answer(three(), runs)
    assert (found.plans["hidden"].diverged, found.verdict) == (1, "incomplete")


def test_identical_plans_do_not_differ(made):
    runs = made({"none": (0.3, 0.3), "input": (0.35, 0.25)})
    runs |= {("hidden", s): runs["none", s].model_copy(update={"plan": "hidden"}) for s in range(SEEDS)}
    found = answer(three(), runs)
    row = found.plans["hidden"]
    assert (row.difference, row.p, row.verdict) == (0.0, 1.0, "no difference")
    assert (found.best, found.verdict) == ("hidden", "no difference")


def test_resplit_is_judged_by_the_corrected_test(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)})
    found = answer(three(resplit=True), runs)
    assert found.test_train_ratio == 50 / 80
    columns = [column(runs, plan) for plan in ("none", "hidden")]
    corrected, plain = stats.compare(*columns, test_train_ratio=50 / 80), stats.compare(*columns)
    assert found.plans["hidden"].p == corrected.p > plain.p


def test_early_stopping_is_judged_at_its_best_epoch(made):
    runs = made({"none": (0.3, 0.3), "hidden": (0.2, 0.2), "input": (0.25, 0.25)}, early=True, train=0.1)
    row = answer(three(train={"patience": 1}), runs).plans["hidden"]
    assert row.validation < 0.3  # the last epoch's would be 0.9
    assert row.gap == pytest.approx(0.1 - row.mean)
