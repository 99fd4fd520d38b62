"""The process of one row with one number of threads: ``python -m dropkit.cli.bench.worker ROW THREADS TURNS``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def measure(name: str, threads: int, repetitions: int) -> list[dict[str, Any]]:
    """Measure the rows called ``name``; one result a section, ready for JSON."""
    import torch

    from dropkit.cli.bench.rows import by_name
    from dropkit.cli.bench.turns import take_turns

    torch.set_num_threads(threads)
    results = []
    for row in by_name()[name]:
        contestants, notes = row.enter()
        turns = take_turns(contestants, repetitions=repetitions, threads=threads)
        base, *others = turns.seconds
        results.append(
            {
                "section": row.section,
                "row": name,
                "threads": threads,
                "base": base,
                "microseconds": {key: round(value * 1e6, 2) for key, value in turns.seconds.items()},
                "ratio": {key: round(turns.ratio[key], 3) for key in others},
                "notes": notes,
            }
        )
    return results


def main(arguments: Sequence[str]) -> None:
    """Print the results of a row as one line of JSON."""
    name, threads, repetitions = arguments
    print(json.dumps(measure(name, int(threads), int(repetitions))))


if __name__ == "__main__":
    main(sys.argv[1:])
