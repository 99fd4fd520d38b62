import pytest
from pydantic import ValidationError

from dropkit.records import Epoch, Fingerprint, PlanResult, Results, RunRecord, StudyInfo, Timing

ROW = PlanResult(mean=0.1, sd=0.01)


def test_unknown_keys_are_refused_everywhere(run):
    for kind, values in [
        (RunRecord, run().model_dump(by_alias=True)),
        (Epoch, {"epoch": 1, "train": {}, "val": {}}),
        (PlanResult, {"mean": None, "sd": None}),
        (Fingerprint, {"data": "0" * 64, "model": "1" * 64}),
        (StudyInfo, {"schema": 1, "config_sha256": "0" * 64, "versions": {}}),
        (
            Timing,
            {
                "plan": "a",
                "seed": 0,
                "seconds": 1.0,
                "step_seconds": None,
                "host": "h",
                "started": "",
                "finished": "",
            },
        ),
        (
            Results,
            {"baseline": "a", "best": None, "metric": "error", "verdict": "incomplete", "plans": {"a": ROW}},
        ),
    ]:
        kind.model_validate(values)
        with pytest.raises(ValidationError, match="colour"):
            kind.model_validate(values | {"colour": 1})


def test_the_file_of_a_run_has_exactly_the_documented_keys(run):
    assert set(run().model_dump(by_alias=True)) == {
        "schema", "plan", "seed", "status", "epochs", "test", "error",
    }  # fmt: skip
    assert run(best_epoch=1).model_dump()["best_epoch"] == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"plan": "a--b"}, "a plan's name must be"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"status": "fine"}, "diverged"),
        ({"epochs": [Epoch(epoch=2, train={}, val={})]}, "numbered 1, 2, 3"),
        ({"test": {}}, "needs test metrics"),
        ({"best_epoch": 2}, "one of the 1 epochs"),
    ],
)
def test_a_run_must_be_consistent(run, changes, text):
    with pytest.raises((ValidationError, ValueError), match=text):
        run(**changes)


def test_a_diverged_run_needs_no_test_metrics(run):
    assert run(status="diverged", test={}, epochs=[]).test == {}


@pytest.mark.parametrize("key", ["baseline", "best"])
def test_results_name_plans_that_are_there(key):
    values = {"baseline": "a", "best": "a", "metric": "error", "verdict": "helped", "plans": {"a": ROW}}
    Results(**values)
    with pytest.raises(ValidationError, match=f"{key} must be one of the plans"):
        Results(**(values | {key: "b"}))
