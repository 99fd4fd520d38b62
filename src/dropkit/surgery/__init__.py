"""Dropout in a model without touching its code: rules -> :class:`Plan` (data) -> apply, revert."""

from dropkit.surgery.applying import Applied, attached
from dropkit.surgery.planning import plan
from dropkit.surgery.plans import Plan, Site
from dropkit.surgery.rules import Rule

__all__ = ["Applied", "Plan", "Rule", "Site", "attached", "plan"]
