"""How deep the sites of a rule lie, for rates that grow with depth."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.nn import LinearByDepth


def block(module: str, function: str = "") -> str:
    """Return the name of the numbered block that a site is a part of; the site's own where it is in none.

    ``"layers.3.mlp"`` and ``"layers.3:add#0"`` are parts of ``"layers.3"``.
    """
    parts = module.split(".")
    around = parts if function else parts[:-1]
    last = max((place for place, part in enumerate(around) if part.isdigit()), default=None)
    return f"{module}:{function}" if last is None else ".".join(around[: last + 1])


def rates_by_depth(rate: LinearByDepth, places: Sequence[tuple[str, str]]) -> list[float]:
    """Return a rate for each of ``places``, (module, function), in order; those of one block share theirs."""
    blocks = [block(module, function) for module, function in places]
    layers = list(dict.fromkeys(blocks))
    found = dict(zip(layers, rate.rates(len(layers)), strict=True))
    return [found[name] for name in blocks]
