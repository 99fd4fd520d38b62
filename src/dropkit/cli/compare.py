"""``dropkit compare``: the verdict for results of somebody's own training loop."""

from __future__ import annotations

import re
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from dropkit.cli.columns import read_results
from dropkit.cli.output import Json, print_json

# Words that people put into the names of columns, beside the names of dropkit's own metrics.
_LARGER = ("acc", "precision", "recall", "f1", "auc", "auroc", "auprc", "map", "iou", "dice", "bleu", "psnr")
_SMALLER = ("err", "loss", "mse", "nll", "ce", "perplexity", "ppl", "wer", "mape")


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
            help="Default: as the column's name says (accuracy, test_f1, ...), else smaller.",
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
    known = _direction(name) if larger_is_better is None else larger_is_better
    names = (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))
    found = stats.compare(first, second, larger_is_better=bool(known), alpha=alpha, names=names, metric=name)
    if json:
        print_json(found.to_dict())
        return
    print(found.sentence)
    print(f"  {names[0]}: mean {found.baseline_mean:.6g}; {names[1]}: mean {found.treatment_mean:.6g}")
    print(f"  {'larger' if known else 'smaller'} {name} is better")
    print(
        "  interval: where the mean of the paired differences may lie; it leaves out 0 if the verdict finds one"
    )
    print(f"  sign-flip p = {found.p_permutation:.3g}, at least {found.min_p:.3g} with {found.n} pairs")
    if isfinite(found.mde):
        limits = f"{found.mde_low:.3g} to {found.mde_high:.3g}"
        print(f"  detectable with power 0.8: a difference of {found.mde:.3g} ({limits})")
    for warning in found.warnings:
        print(f"  note: {warning}")
    if known is None:
        print(
            f"  note: smaller is assumed to be better, as {name!r} does not say; --larger-is-better if it is"
        )


def _direction(column: str) -> bool | None:
    """Return whether larger is better in a column of this name, ``test_accuracy`` say; None if it does not tell."""
    from dropkit.stats import LARGER_IS_BETTER

    names = dict.fromkeys(_LARGER, True) | dict.fromkeys(_SMALLER, False) | dict(LARGER_IS_BETTER)
    for word in (column.lower(), *reversed(re.findall("[a-z][a-z0-9]*", column.lower()))):
        if word in names:  # the last word counts most: accuracy_loss is a loss
            return names[word]
    return None
