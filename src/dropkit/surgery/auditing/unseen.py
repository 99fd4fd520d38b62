"""What a look at modules alone cannot list: rates that they hand to functions."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from dropkit.surgery.auditing.known import rate_attribute
from dropkit.surgery.auditing.result import AuditWarning
from dropkit.surgery.builtin import built_in
from dropkit.surgery.mentions import Mentions, read_from_self
from dropkit.surgery.tree import Tree


def unseen(tree: Tree) -> Iterator[AuditWarning]:
    """Yield one warning if modules have rates in attributes that their code reads, beside a function that drops."""
    mentions = Mentions()
    found = {
        name: rates
        for name, module in tree.modules.items()
        if not built_in(module) and (rates := _rates(module)) and mentions.dropout(module)
    }
    if found:
        name, rates = next(iter(found.items()))
        more = f" and {len(found) - 1} more module(s)" if len(found) > 1 else ""
        yield AuditWarning(
            "not-listed",
            name,
            f"{rates} of {type(tree.modules[name]).__name__}{more} may be the rate of a function that the code calls, "
            "which is no module to list; give example inputs, so that calls are watched",
        )


def _rates(module: nn.Module) -> str:
    """Return the attributes of ``module`` with a name of dropout and a rate that its code reads, as text."""
    if rate_attribute(module) is not None:  # it is listed
        return ""
    named = {name: v for name, v in vars(module).items() if "drop" in name.lower() and type(v) is float}
    rates = {name: v for name, v in named.items() if 0.0 < v < 1.0}
    read = read_from_self(type(module)) if rates else set()
    return ", ".join(f"{name} = {v:g}" for name, v in rates.items() if name in read)
