"""Models that somebody else wrote, one family a file, with what is known to be random in each."""

from tests.cases import (
    attention,
    everything,
    functional,
    graphs,
    host,
    hugging_face,
    images,
    odd,
    paths,
    recurrent,
    torch_modules,
    wrapped,
)
from tests.cases.case import Case, Planted

FAMILIES = (
    torch_modules, functional, attention, recurrent, hugging_face, paths, graphs, images, wrapped, odd, host,
    everything,
)  # fmt: skip
CASES = [case for family in FAMILIES for case in family.CASES] + [wrapped.LORA]

__all__ = ["CASES", "Case", "Planted"]
