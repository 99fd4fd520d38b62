"""One call of a random op: which key it gets, from a stream, a generator or PyTorch's global one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from dropkit.core import StreamError
from dropkit.random.key import Key, draw_words
from dropkit.random.recompute import NOWHERE, Region, region, traced_inside
from dropkit.random.stream import distributed_rank, ever_entered, innermost


def next_key(site: str | None, generator: torch.Generator | None, device: torch.device) -> Key:
    """Return the key of this call's mask.

    An explicit ``generator`` decides alone. Else the innermost stream does. Else one 64-bit draw from PyTorch's
    default generator of ``device``, mixed with the distributed rank.

    Args:
        site: Name of the site, or None: the next unnamed call of the stream.
        generator: Source of the draw, or None.
        device: Device of the mask.

    Raises:
        StreamError: The call is made during backward in a program that uses streams, outside a checkpointed
            region whose forward could be replayed.
    """
    if torch.compiler.is_compiling():
        if generator is None:
            _refuse_traced_recomputation()
        return _fresh_key(site, generator, device)
    here = region()
    if here is NOWHERE:  # nearly every call
        return _fresh_key(site, generator, device)
    return _once(here, site, generator, lambda: _fresh_key(site, generator, device))


def next_place(site: str | None) -> Key:
    """Return where this call's rows stand, for ensembles whose masks are fixed: a key whose first word is the member.

    Outside any stream that is member 0, sample 0. The second word is 1 where the stream's samples share their masks.

    Args:
        site: Name of the site, or None; nothing is counted.

    Raises:
        StreamError: As for :func:`next_key`.
    """
    if torch.compiler.is_compiling():
        _refuse_traced_recomputation()
        return _fresh_place()
    return _once(region(), f"{site}:member", None, _fresh_place)


def _fresh_place() -> Key:
    current = innermost()
    if current is None:
        return Key((0, 0, 0, 0), 0)
    member, sample = current.place()
    return Key((member, int(current.shared_axis is not None), 0, 0), sample)


def _refuse_traced_recomputation() -> None:
    if innermost() is not None and traced_inside():
        # The recomputation would go on counting. Without fullgraph this makes the frame run in eager mode.
        raise StreamError(
            "compiled code cannot repeat the masks of a stream for a checkpointed region around it; compile what "
            "calls torch.utils.checkpoint, not what it calls"
        )


def _once(here: Region, site: str | None, generator: torch.Generator | None, fresh: Callable[[], Key]) -> Key:
    """Return ``fresh()``; or, in a recomputation, what it was in the forward."""
    if here.replayed is not None:
        key = here.replayed.replay(site, torch._C._current_graph_task_id())
    elif here.recomputing and generator is None and ever_entered():
        # Under no stream, too: the one that the forward drew from may have been left, or be another thread's.
        raise StreamError(
            f"site {site!r} draws a mask during backward, where dropkit cannot tell which mask its forward drew; "
            "recompute with torch.utils.checkpoint, or pass generator= if no forward is repeated here"
        )
    else:
        key = fresh()
    for tape in here.tapes:
        tape.record(site, key)
    return key


def skip_key(site: str | None, generator: torch.Generator | None) -> None:
    """Count a call that needs no bits, so that a rate of 0 or 1 here shifts no other mask of the stream."""
    current = innermost()
    if (
        current is not None
        and generator is None
        and (torch.compiler.is_compiling() or not region().recomputing)
    ):
        current.count(site)


def can_branch_on_data(device: torch.device) -> bool:
    """Whether values may be read on the host: in eager CPU code that no transform or mode is looking at."""
    return (
        device.type == "cpu"
        and not torch.compiler.is_compiling()
        and torch._C._functorch.maybe_current_level() is None
        and _get_current_dispatch_mode() is None
    )


def _fresh_key(site: str | None, generator: torch.Generator | None, device: torch.device) -> Key:
    current = innermost()
    if current is not None and generator is None:
        return current.key(site)
    source = device if generator is None else generator.device
    drawn = torch.randint(2**32, (2,), dtype=torch.int64, device=source, generator=generator)
    if can_branch_on_data(source):
        low, high = drawn.tolist()
        return Key(draw_words(low, high, distributed_rank()))
    return Key(draw_words(drawn[0], drawn[1], distributed_rank()))
