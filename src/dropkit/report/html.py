"""Building HTML: whatever is not markup already is escaped, so no text of a study can become markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Html(str):
    """Text that is markup. Only :func:`el`, :func:`join` and this module's callers with constant text make it."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
_VOID = frozenset({"meta", "br", "input", "hr"})


def el(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Return an element.

    Args:
        name: Of the element.
        children: Text is escaped, :class:`Html` is not; iterables are flattened one level; None is left out.
        attributes: Values are escaped. In names ``_`` stands for ``-``, and one at the end is dropped (``class_``).
            True gives a bare attribute; None and False leave it out.
    """
    pairs = []
    for key, found in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if found is True:
            pairs.append(f" {key}")
        elif found is not None and found is not False:
            pairs.append(f' {key}="{escape(str(found))}"')
    opening = f"<{name}{''.join(pairs)}>"
    return Html(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Return ``children`` one after the other, as :func:`el` treats them."""
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, str):
            parts.append(child if isinstance(child, Html) else escape(child))
        else:
            parts.append(join(*child))
    return Html("".join(parts))
