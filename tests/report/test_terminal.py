import io

import pytest
from rich.console import Console

from dropkit import report
from dropkit.records import read_results, results_path, write_json
from dropkit.report.numbers import interval
from dropkit.report.study import load
from dropkit.report.verdict import headline
from tests.report.fake import Fake

CASES = {
    "plain": Fake(epochs=2),
    "lost": Fake(epochs=2, diverged=(("hidden", 3),), failed=(("none", 1),), missing=(("none", 2),)),
    "unfinished": Fake(epochs=2, results=False, missing=(("none", 2),)),
    "regression": Fake(epochs=2, seeds=2, task="regression", metric="rmse", levels={"none": 0.6, "a": 0.61}),
    "long": Fake(epochs=2, seeds=2, levels={"none": 0.02, "a_very_long_name_of_a_plan" * 4: 0.01}),
    "dead": Fake(
        epochs=1, seeds=2, levels={"none": 1, "a": 1}, diverged=(("none", 0), ("none", 1), ("a", 0), ("a", 1))
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_fits_80_columns_and_says_verdict_and_table(tmp_path, name):
    folder = CASES[name].write(tmp_path)
    text, study = str(report.text(folder)), load(folder)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert flat.replace(" ", "").startswith(headline(study).replace(" ", ""))
    assert ("1 of 30 runs missing" in flat) == (study.missing == 1) == (name in ("lost", "unfinished"))
    for plan in study.others:  # an interval stays on one line
        row = study.row(plan)
        assert row.difference is None or interval(study.metric, row.low, row.high) in text
    if name == "lost":
        assert "1 run diverged" in flat
        assert "1 run failed: none (seed 1)" in flat
    if name == "plain":
        assert all(
            f"{100 * study.row(plan).mean:.2f} ± {100 * study.row(plan).sd:.2f}" in flat
            for plan in study.plans
        )


@pytest.mark.parametrize(
    ("case", "legend"),
    [
        ({}, "±: sd over the seeds; [ ]: interval of the difference at Holm's level"),
        ({"levels": {"none": 0.02, "a": 0.01}}, "[ ]: 95 % interval of the difference"),
        ({"results": False}, "±: sd over the seeds"),
    ],
)
def test_the_signs_of_the_table_are_explained_in_one_line(tmp_path, case, legend):
    assert str(report.text(Fake(epochs=1, **case).write(tmp_path))).splitlines()[-1].endswith(legend)


def test_rich_gets_colour_and_plain_text_none(finished):
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=80, color_system="standard").print(report.text(finished))
    assert "\x1b[1;32m" in out.getvalue()
    assert "\x1b" not in str(report.text(finished))


def test_text_of_a_study_is_no_markup_of_rich(tmp_path):
    folder = Fake(epochs=1, seeds=2).write(tmp_path)
    results = read_results(folder)
    results.sentence = "[bold]x[/nonsense]"
    results.warnings = ["[red]careful"]
    write_json(results_path(folder), results)
    text = str(report.text(folder))
    assert "[bold]x[/nonsense]" in text
    assert "! [red]careful" in text
