"""``dropkit audit``."""

from __future__ import annotations

from typing import Annotated

import typer

from dropkit.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(epilog="Example: dropkit audit my_models:make_bert")(audit)


def audit(
    factory: Annotated[
        str,
        typer.Argument(help="package.module:factory, called without arguments: (model, *example_inputs)."),
    ],
    json: Json = False,
) -> None:
    """Say where a model is random, at which rates, and what is wrong with it.

    The factory returns the model, or a tuple of the model and what its forward takes; with example inputs a
    forward pass is watched, without them only modules are looked at.
    """
    import json as text

    from torch import nn

    from dropkit import surgery
    from dropkit.core import ConfigError
    from dropkit.zoo import call_factory

    made = call_factory(factory, offered={}, options={})
    model, *inputs = made if isinstance(made, tuple) else (made,)
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{factory} must return a torch.nn.Module, or a tuple that begins with one, got {type(model).__name__}"
        )
    found = surgery.audit(model, *inputs)
    if json:
        print_json(text.loads(found.to_json()))
    else:
        print(found)
