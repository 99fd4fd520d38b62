"""Dropout in a model without touching its code: rules -> :class:`Plan` (data) -> apply, revert."""

from dropkit.surgery.applying import Applied, attached
from dropkit.surgery.auditing import Audit, AuditSite, AuditWarning, audit
from dropkit.surgery.planning import plan
from dropkit.surgery.plans import Plan, Site
from dropkit.surgery.rules import Rule

__all__ = [
    "Applied",
    "Audit",
    "AuditSite",
    "AuditWarning",
    "Plan",
    "Rule",
    "Site",
    "attached",
    "audit",
    "plan",
]
