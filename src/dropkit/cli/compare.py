"""``dropkit compare``: the verdict for results of somebody's own training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.columns import read_results
from dropkit.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit compare plain.csv dropout.csv --column accuracy")(compare)


def compare(
    a: Annotated[Path, typer.Argument(help="CSV file of the baseline, a row a seed.")],
    b: Annotated[Path, typer.Argument(help="CSV file of the treatment, a row for each of the same seeds.")],
    column: Annotated[
        str | None, typer.Option(help="The results. Default: the only column but 'seed'.")
    ] = None,
    larger_is_better: Annotated[
        bool | None,
        typer.Option(
            "--larger-is-better/--smaller-is-better",
            help="Default: what holds for a metric of the column's name, else smaller.",
        ),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Level of the decision, in (0, 1).")] = 0.05,
    json: Json = False,
) -> None:
    """Compare paired results in two CSV files, and say whether B helped, relative to A.

    Rows are paired by the column 'seed' where both files have one, else by their order.
    """
    from dropkit import stats

    name, first, second = read_results(a, b, column)
    if larger_is_better is None:
        larger_is_better = stats.LARGER_IS_BETTER.get(name, False)
    names = (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))
    found = stats.compare(
        first, second, larger_is_better=larger_is_better, alpha=alpha, names=names, metric=name
    )
    if json:
        print_json(found.to_dict())
        return
    print(found.sentence)
    print(f"  {names[0]}: mean {found.baseline_mean:.6g}; {names[1]}: mean {found.treatment_mean:.6g}")
    print(f"  {'larger' if larger_is_better else 'smaller'} {name} is better")
    print(f"  sign-flip p = {found.p_permutation:.3g}, at least {found.min_p:.3g} with {found.n} pairs")
    print(
        f"  detectable with power 0.8: a difference of {found.mde:.3g} ({found.mde_low:.3g} to {found.mde_high:.3g})"
    )
    for warning in found.warnings:
        print(f"  note: {warning}")
