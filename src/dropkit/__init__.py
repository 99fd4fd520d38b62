"""Dropout, done properly: any variant, in any PyTorch model, with proof whether it helped.

Names are imported on first use, so that ``import dropkit`` and ``dropkit --help`` load no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dropkit.core import errors as _errors
from dropkit.core.errors import *  # noqa: F403  (all of them, and light)

if TYPE_CHECKING:
    from dropkit import adapters, infer, nn, objectives, ops, random, stats, surgery, zoo
    from dropkit._catalogue import catalogue, variant
    from dropkit._run_study import run_study
    from dropkit.core import Variant
    from dropkit.infer import Prediction, ensemble, predict
    from dropkit.random import step
    from dropkit.study import StudyResult
    from dropkit.surgery import (
        Applied,
        Audit,
        Plan,
        Rule,
        accelerate,
        audit,
        load_plan,
        plan,
        save_plan,
        set_rate,
    )

__version__ = "0.1.0"

_HOMES = {
    "Applied": "dropkit.surgery",
    "Audit": "dropkit.surgery",
    "Plan": "dropkit.surgery",
    "Prediction": "dropkit.infer",
    "Rule": "dropkit.surgery",
    "StudyResult": "dropkit.study",
    "Variant": "dropkit.core",
    "accelerate": "dropkit.surgery",
    "audit": "dropkit.surgery",
    "catalogue": "dropkit._catalogue",
    "ensemble": "dropkit.infer",
    "load_plan": "dropkit.surgery",
    "plan": "dropkit.surgery",
    "predict": "dropkit.infer",
    "run_study": "dropkit._run_study",
    "save_plan": "dropkit.surgery",
    "set_rate": "dropkit.surgery",
    "step": "dropkit.random",
    "variant": "dropkit._catalogue",
}
_ROOMS = ("adapters", "infer", "nn", "objectives", "ops", "random", "stats", "surgery", "zoo")

__all__ = [
    "Applied",
    "Audit",
    "Plan",
    "Prediction",
    "Rule",
    "StudyResult",
    "Variant",
    "accelerate",
    "adapters",
    "audit",
    "catalogue",
    "ensemble",
    "infer",
    "load_plan",
    "nn",
    "objectives",
    "ops",
    "plan",
    "predict",
    "random",
    "run_study",
    "save_plan",
    "set_rate",
    "stats",
    "step",
    "surgery",
    "variant",
    "zoo",
]
__all__ += _errors.__all__


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = import_module(f"dropkit.{name}")
    else:
        raise AttributeError(f"module 'dropkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
