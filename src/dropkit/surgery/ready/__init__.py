"""Plans that somebody published, by name: ``dropkit.plan(model, "srivastava-2014")``."""

from dropkit.surgery.ready.catalogue import own_dropout, ready, ready_plan, ready_plans
from dropkit.surgery.ready.entry import ReadyPlan

__all__ = ["ReadyPlan", "own_dropout", "ready", "ready_plan", "ready_plans"]
