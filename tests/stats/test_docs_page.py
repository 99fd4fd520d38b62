"""The examples on the page of this room run as they stand and print what they say."""

import re
from pathlib import Path

import pytest

from dropkit.stats import sd_interval

PAGE = (Path(__file__).parents[2] / "docs" / "stats.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_examples():
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_prints_what_it_says(example, capsys):
    exec(example, {})
    promised = example.strip().splitlines()[-1].removeprefix("# ")
    assert capsys.readouterr().out.strip() == promised


def test_the_quoted_sd_interval_is_right():
    assert "5 seeds: from 0.6 to 2.9 times" in PAGE
    assert sd_interval(1.0, 5) == pytest.approx((0.6, 2.9), abs=0.05)
