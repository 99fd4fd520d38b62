"""``dropkit bench``."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropkit.cli.output import RUN_FAILED, Json, complain, print_json

if TYPE_CHECKING:
    from dropkit.cli.bench.rows import Row

_TURNS, _QUICK_TURNS = 9, 3
_START_UP = 8.0  # seconds to import torch and to compile
_WARM_UP = 4  # turns


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit bench --quick --threads 1,2")(bench)


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows and turns.")] = False,
    rows: Annotated[str | None, typer.Option(help="Names of rows, with commas. Default: all.")] = None,
    threads: Annotated[
        str | None,
        typer.Option(help="Numbers of threads, with commas. Default: 1,2 as far as there are cores."),
    ] = None,
    repetitions: Annotated[
        int | None, typer.Option(min=1, help=f"Turns of each contestant. Default: {_TURNS}.")
    ] = None,
    keep_pages: Annotated[
        bool,
        typer.Option("--keep-pages", help="Keep freed memory: without page faults, which cost all the same."),
    ] = False,
    instructions: Annotated[
        bool, typer.Option("--instructions", help="Count instructions under valgrind instead of time.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables in Markdown.")] = False,
    json: Json = False,
) -> None:
    """Measure what dropout costs here, as ratios of things that take turns in one process.

    Ratios are against x * c in the same turn, medians over the turns: "dropkit" in a stream, "no stream" without
    one, PyTorch's own F.dropout, and that compiled. Close everything else first.
    """
    from dropkit.cli.bench import machine, table

    if json and markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    if instructions:
        if quick or rows or threads or repetitions or keep_pages:
            raise typer.BadParameter("--instructions takes no other option but --json and --markdown")
        _instructions(json, markdown)
        return
    chosen = _chosen(rows, quick)
    counts = _threads(threads)
    turns = repetitions or (_QUICK_TURNS if quick else _TURNS)
    before = machine.load()
    _announce(chosen, counts, turns, before)
    results, failures = _measured(chosen, counts, turns, keep_pages)
    bars = _bars(chosen, results, counts[-1])
    record = machine.describe() | {"load_average": before, "repetitions": turns}
    record |= {"rate": 0.5, "keep_pages": keep_pages}
    if json:
        print_json(record | {"results": results, "bars": bars})
    else:
        print(_heading(record))
        print()
        print((table.markdown if markdown else table.text)(results, bars))
        for note in dict.fromkeys(note for result in results for note in result["notes"]):
            print(f"note: {note}")
    if failures:
        raise typer.Exit(RUN_FAILED)


def _chosen(rows: str | None, quick: bool) -> dict[str, list[Row]]:
    from dropkit import core
    from dropkit.cli.bench.rows import QUICK, by_name

    known = by_name()
    if rows is None:
        return {name: found for name, found in known.items() if name in QUICK or not quick}
    names = [name.strip() for name in rows.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise core.unknown_name("row", name, known)
    if not names:
        raise typer.BadParameter(f"--rows names no row; there are {', '.join(known)}")
    return {name: known[name] for name in dict.fromkeys(names)}


def _threads(given: str | None) -> list[int]:
    from dropkit.cli.bench.machine import cores

    most = cores()
    if given is None:
        return [count for count in (1, 2) if count <= most]
    counts = [int(part) if part.strip().isdecimal() else 0 for part in given.split(",")]
    if not all(1 <= count <= most for count in counts):
        raise typer.BadParameter(f"--threads must be numbers from 1 to {most}, the cores here, got {given!r}")
    return sorted(set(counts))


def _announce(chosen: dict[str, list[Row]], counts: Sequence[int], turns: int, load: float | None) -> None:
    from dropkit.cli.bench.machine import warning
    from dropkit.cli.progress import duration

    each = [_START_UP + sum(row.weight for row in rows) * (turns + _WARM_UP) for rows in chosen.values()]
    seconds = sum(sum(each) / math.sqrt(count) for count in counts)
    threads = " and ".join(map(str, counts))
    _say(f"{len(chosen)} rows with {threads} threads, {turns} turns each: about {duration(seconds)}")
    if text := warning(load):
        _say(f"warning: {text}")


def _measured(
    chosen: dict[str, list[Row]], counts: Sequence[int], turns: int, keep_pages: bool
) -> tuple[list[dict[str, Any]], int]:
    """Return all results in order, and how many processes failed."""
    from dropkit.cli.bench.processes import Failed, ask

    results: list[dict[str, Any]] = []
    failures = 0
    for count in counts:
        for name in chosen:
            _say(f"{name}, {count} thread{'' if count == 1 else 's'} ...")
            try:
                results += ask(
                    "dropkit.cli.bench.worker",
                    *(name, str(count), str(turns)),
                    threads=count,
                    keep_pages=keep_pages,
                )
            except Failed as error:
                complain(f"{name} with {count} threads failed: {error}")
                failures += 1
    return results, failures


def _bars(chosen: dict[str, list[Row]], results: list[dict[str, Any]], threads: int) -> list[dict[str, Any]]:
    """Return what dropkit is held to, with what was found with the most threads."""
    from dropkit.cli.bench.memory import GOAL, LIMIT
    from dropkit.cli.bench.processes import ask

    found = {(result["section"], result["row"]): result for result in results if result["threads"] == threads}
    bars = []
    for row in (row for rows in chosen.values() for row in rows if row.limit is not None):
        if (row.section, row.name) in found:
            ratio = found[row.section, row.name]["ratio"]["dropkit"]
            bars.append(_bar(f"{row.name}, {row.section}", threads, ratio, row.limit, row.goal, "x"))
    kept = ask("dropkit.cli.bench.memory")["dropkit"]
    bars.append(_bar("bytes that a call keeps for backward", 1, kept, LIMIT, GOAL, "B"))
    return bars


def _bar(
    work: str, threads: int, found: float, limit: float | None, goal: float | None, unit: str
) -> dict[str, Any]:
    return {"work": work, "threads": threads, "found": found, "limit": limit, "goal": goal, "unit": unit}


def _heading(record: dict[str, Any]) -> str:
    return (
        f"{record['processor']}, {record['cores']} cores; torch {record['torch']}; dropkit {record['dropkit']}, "
        f"kernels {record['kernels']}; {record['repetitions']} turns; "
        f"load average {record['load_average']}{'; freed memory kept' if record['keep_pages'] else ''}"
    )


def _instructions(json: bool, markdown: bool) -> None:
    from dropkit.cli.bench import table
    from dropkit.cli.bench.instructions import KERNELS, available, count
    from dropkit.ops.kernels import status

    if available():
        _say("about 30 s")
    found = {name: round(count(name), 2) for name in KERNELS if name in status().supported}
    if json:
        print_json(found)
        return
    print(table.instructions(found, markdown=markdown))
    print()
    print("dropkit.ops.dropout, forward, fp32, rate 0.5, under callgrind (which has no AVX-512)")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
