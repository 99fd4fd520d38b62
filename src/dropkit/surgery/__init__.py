"""Dropout in a model without touching its code: rules -> :class:`Plan` (data) -> apply, revert; accelerate."""

from dropkit.surgery.accelerating import Accelerated, accelerate
from dropkit.surgery.applied import Applied
from dropkit.surgery.applying import AppliedPlan
from dropkit.surgery.attached import attached
from dropkit.surgery.auditing import Audit, AuditSite, AuditWarning, audit
from dropkit.surgery.planning import plan
from dropkit.surgery.plans import Plan, Site
from dropkit.surgery.ready import ReadyPlan, ready, ready_plans
from dropkit.surgery.rules import Rule
from dropkit.surgery.saving import load_plan, save_plan
from dropkit.surgery.setting import RatesSet, set_rate
from dropkit.surgery.taking import Skipped

__all__ = [
    "Accelerated",
    "Applied",
    "AppliedPlan",
    "Audit",
    "AuditSite",
    "AuditWarning",
    "Plan",
    "RatesSet",
    "ReadyPlan",
    "Rule",
    "Site",
    "Skipped",
    "accelerate",
    "attached",
    "audit",
    "load_plan",
    "plan",
    "ready",
    "ready_plans",
    "save_plan",
    "set_rate",
]
