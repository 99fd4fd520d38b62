"""The tables of ``dropkit bench``."""

import pytest

from dropkit.cli.bench import table
from dropkit.cli.bench.rows import BOTH, ROWS

RATIOS = {"dropkit": 1.03, "no stream": 1.04, "F.dropout": 114.05, "compiled": 190.42}
RESULTS = [
    {
        "section": row.section,
        "row": row.name,
        "threads": threads,
        "base": "x * c",
        "microseconds": {"x * c": 56158.2},
        "ratio": RATIOS,
        "notes": [],
    }
    for row in ROWS
    for threads in (1, 2)
]
BARS = [
    {"work": f"{row.name}, {BOTH}", "threads": 2, "found": 1.03, "limit": 1.5, "goal": 1.1, "unit": "x"}
    for row in ROWS
    if row.section == BOTH
] + [
    {"work": "slow", "threads": 2, "found": 1.2, "limit": 1.5, "goal": 1.1, "unit": "x"},
    {"work": "slower", "threads": 2, "found": 1.6, "limit": 1.5, "goal": 1.1, "unit": "x"},
    {"work": "kept", "threads": 1, "found": 16, "limit": 64, "goal": 16, "unit": "B"},
]


def test_every_line_fits_a_terminal_of_80_columns():
    lines = table.text(RESULTS, BARS).splitlines()
    assert len(lines) > len(RESULTS)
    assert max(map(len, lines)) <= 80


def test_every_figure_is_there():
    lines = table.text(RESULTS, BARS).splitlines()
    for row in ROWS:
        assert (
            sum(line.startswith(f"{row.name} ") for line in lines) >= 4
        )  # two sections, one and two threads
    assert lines[1].split()[1:] == ["1", "56158", "1.03x", "1.04x", "114.05x", "190.42x"]


@pytest.mark.parametrize(("work", "mark"), [("kept", "goal"), ("slow", "reached"), ("slower", "MISSED")])
def test_each_bar_says_whether_it_is_met(work, mark):
    (line,) = [line for line in table.text(RESULTS, BARS).splitlines() if line.startswith(f"{work} ")]
    assert line.split()[-1] == mark


def test_a_contestant_that_could_not_take_part_leaves_a_gap():
    alone = {**RESULTS[0], "ratio": {"dropkit": 1.0}}
    head, first, second, *_ = table.text([alone, RESULTS[1]], []).splitlines()
    assert head.split()[-1] == "compiled"
    assert first.split()[-1] == "-"
    assert second.split()[-1] == "190.42x"


def test_markdown_has_the_same_cells():
    lines = table.markdown(RESULTS[:1], BARS[-1:]).splitlines()
    assert lines[0] == "| forward | threads | x * c, µs | dropkit | no stream | F.dropout | compiled |"
    assert lines[1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert lines[2] == "| 128x512 | 1 | 56158 | 1.03x | 1.04x | 114.05x | 190.42x |"
    assert lines[-1] == "| kept | 1 | 16 B | 64 B | 16 B | goal |"
