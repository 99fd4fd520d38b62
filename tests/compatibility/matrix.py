"""The matrix of kinds of attachment and of settings, measured: ``python -m tests.compatibility.matrix`` writes it."""

import sys
import tempfile
import warnings
from pathlib import Path

import torch.distributed as dist

from dropkit.core import PlanError

from .kinds import KINDS
from .settings import SETTINGS, Case

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def measured():
    """Return the table as Markdown, with what is refused below it. Whatever else is raised goes to the caller."""
    refusals = {}
    lines = [f"| | {' | '.join(SETTINGS)} |", "| --- |" + " --- |" * len(SETTINGS)]
    for name, kind in KINDS.items():
        cells = []
        for setting in SETTINGS.values():
            case = Case(kind)
            try:
                setting(case)
            except (PlanError, ValueError) as error:  # the latter where torch refuses what it wraps
                number = refusals.setdefault(str(error), len(refusals) + 1)
                cells.append(f"refused ({number})")
            else:
                cells.append("works")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if refusals:
        lines += ["", *(f"{number}. {text}" for text, number in refusals.items())]
    return "\n".join(lines) + "\n"


def in_page():
    """Return the table that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main():
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(head + BEGIN + measured() + END + rest.partition(END)[2])
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
