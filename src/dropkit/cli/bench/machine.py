"""Where a measurement was made, and whether it was left alone."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

_IDLE = 0.5  # load average below which the machine counts as idle


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Return the load average of the last minute, or None where the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def warning(found: float | None) -> str | None:
    """Return what to say about a load average, or None if the machine is idle."""
    if found is None:
        return "this system tells no load average: make sure that nothing else runs"
    if found < _IDLE:
        return None
    return f"the machine is not idle (load average {found:.1f} on {cores()} cores): close what runs beside it"


def describe() -> dict[str, Any]:
    """Return versions, kernels and processor."""
    from dropkit import __version__
    from dropkit.ops import kernels

    status = kernels.status()
    return {
        "dropkit": __version__,
        "torch": version("torch"),
        "kernels": status.active,
        "kernels_reason": status.reason,
        "processor": _processor(),
        "cores": cores(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
