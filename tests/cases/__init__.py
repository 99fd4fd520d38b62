"""Models that somebody else wrote, one family a file, with what is known to be random in each."""

from tests.cases import everything, wrapped
from tests.cases.case import Case, Planted

CASES = [case for family in (*everything.FAMILIES, everything) for case in family.CASES] + [wrapped.LORA]

__all__ = ["CASES", "Case", "Planted"]
