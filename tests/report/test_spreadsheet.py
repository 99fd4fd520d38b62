import csv
import io

from dropkit import report
from dropkit.records import read_results
from dropkit.report.study import load
from tests.report.fake import Fake


def rows(folder):
    return {row["plan"]: row for row in csv.DictReader(io.StringIO(report.csv(folder)))}


def test_numbers_have_full_precision(finished):
    found, results = rows(finished), read_results(finished)
    assert set(found) == set(results.plans)
    for plan, row in found.items():
        for column in (
            "mean",
            "sd",
            "difference",
            "low",
            "high",
            "p",
            "p_adjusted",
            "mde",
            "validation",
            "gap",
        ):
            expected = getattr(results.plans[plan], column)
            assert (float(row[column]) if row[column] else None) == expected
        assert row["verdict"] == (results.plans[plan].verdict or "")
        tests = load(finished).tests(plan, "nll")
        assert float(row["test_nll"]) == sum(tests) / len(tests)
    assert float(found["none"]["step_ratio"]) == 1.0


def test_what_is_not_known_is_empty(tmp_path):
    lost = tuple((plan, seed) for plan in ("none", "hidden", "input-hidden") for seed in range(2))
    found = rows(Fake(seeds=2, epochs=1, diverged=lost).write(tmp_path))
    assert found["hidden"]["mean"] == found["hidden"]["difference"] == ""
    assert found["hidden"]["diverged"] == "2"
