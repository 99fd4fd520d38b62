"""What a forward pass does with its tensors, as a graph in which the sites of dropout are marked."""

from dropkit.infer.flow.marks import Marks, is_mark, site_of
from dropkit.infer.flow.symbolic import traced
from dropkit.infer.flow.watched import watched

__all__ = ["Marks", "is_mark", "site_of", "traced", "watched"]
