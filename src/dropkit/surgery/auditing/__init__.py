"""Where is a model random? Found by looking at its modules, and by watching forward passes."""

from dropkit.surgery.auditing.audit import audit
from dropkit.surgery.auditing.result import Audit, AuditSite, AuditWarning

__all__ = ["Audit", "AuditSite", "AuditWarning", "audit"]
