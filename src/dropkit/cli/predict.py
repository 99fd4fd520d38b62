"""``dropkit predict``: what a run of a study says about examples, and how sure it is."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dropkit.cli.output import Json, print_json, print_table


class Mode(StrEnum):
    """How members run."""

    AUTO, VMAP, EXPAND, LOOP = "auto", "vmap", "expand", "loop"


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit predict runs/digits test --members 100 --csv test.csv")(predict)


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="DIR:<plan>--<seed>, DIR/runs/<plan>--<seed>.json, or DIR for the best plan's first seed.",
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="test, val or train of the study; a .csv or .npz file; package.module:factory; a built-in data set.",
        ),
    ],
    members: Annotated[int, typer.Option(min=2, metavar="N", help="Thinned networks.")] = 50,
    seed: Annotated[
        int | None, typer.Option(help="Of the masks. Default: a child of the run's seed.")
    ] = None,
    fresh_masks: Annotated[
        bool, typer.Option("--fresh-masks", help="Masks of its own for every row, not the same for all.")
    ] = False,
    mode: Annotated[Mode, typer.Option(help="How members run; the results are the same.")] = Mode.AUTO,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Rows shown: the N least certain.")] = 10,
    level: Annotated[float, typer.Option(help="Of the intervals of a regression, in (0, 1).")] = 0.9,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every row as CSV.")] = None,
    npz: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write arrays, all probabilities included.")
    ] = None,
    json: Json = False,
) -> None:
    """Predict with a run of a study: the mean over thinned networks, and how far they disagree.

    Entropy is all uncertainty, mutual information the part of it that comes from the weights. Intervals of a
    regression are conformal, calibrated on the study's validation part.
    """
    from torch.utils.data import Dataset

    from dropkit.cli.predictions import Table, save_csv, save_npz
    from dropkit.cli.units import unit_note
    from dropkit.core import ConfigError, NoMatchError
    from dropkit.study import Sampled, find_run, reopen, sample
    from dropkit.zoo import load_rows

    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")
    taken = {Path(data).resolve()}
    for file in filter(None, (csv, npz)):
        if file.resolve() in taken:
            raise ConfigError(f"{file} is asked about or written to already; name another file")
        taken.add(file.resolve())
    folder, plan, number = find_run(run)
    with redirect_stdout(sys.stderr), reopen(folder, plan, number) as opened:
        part = load_rows(data, opened.data)
        note = unit_note(data, part, opened.data.train)
        if note is not None:
            print(f"note: {note}", file=sys.stderr)
        numbers = opened.data.task == "regression"

        def asked(rows: Dataset[Any]) -> Sampled:
            return sample(
                opened,
                rows,
                members=members,
                seed=seed,
                share_masks=not fresh_masks,
                mode=mode.value,
                keep_members=numbers and len(part[0]) > 1,  # for the likelihood of targets
            )

        try:
            found = asked(part)
            fitted = asked(opened.data.val) if numbers else None
        except NoMatchError as error:
            raise NoMatchError(
                f"run {opened.name} cannot be sampled from: {error}; choose a run of a plan with dropout"
            ) from error
    table = Table(opened.name, data, opened.data.class_names, found, fitted, level)
    for path, save in ((csv, save_csv), (npz, save_npz)):
        if path is not None:
            save(path, table)
            print(f"{path}: {table.count} rows", file=sys.stderr)
    if json:
        print_json(table.to_dict())
        return
    print(f"{opened.name} on {data}: {table.count} rows, {members} members ({found.mode})")
    for line in table.summary():
        print(line)
    if top:
        print(f"\nthe {min(top, table.count)} least certain rows")
        print_table(*table.least_certain(top))
