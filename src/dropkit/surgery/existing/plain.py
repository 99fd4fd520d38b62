"""Dropout of one tensor: ``F.dropout`` and its relatives, and the modules that call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropkit.ops import alpha_dropout, dropout, feature_alpha_dropout
from dropkit.ops.drop import drop
from dropkit.ops.reference import check_input
from dropkit.surgery.existing.protocol import Arguments, Existing, cannot_take
from dropkit.surgery.frames import FrameMode

Noise = Callable[[Tensor, Any, str], Tensor]  # (x, rate, site) -> y


class Plain:
    """A function of one tensor.

    Args:
        name: What ids call it.
        variant: Name in the catalogue.
        noise: What it does while training.
        defaults: Its parameters in order, with their values where a call gives none: the tensor, the rate, the
            flag, and whether to write in place, which does not count where it is no parameter.
        ranks: Ranks of the input which need no remark; others have the original's checks and warnings.
        least: Rank below which the original raises.
        takes_inplace: Whether the last of ``defaults`` is a parameter.
    """

    def __init__(
        self,
        name: str,
        variant: str,
        noise: Noise,
        defaults: Mapping[str, Any],
        *,
        ranks: tuple[int, ...] = (),
        least: int = 0,
        takes_inplace: bool = True,
    ) -> None:
        self.name = name
        self.variant = variant
        self._noise = noise
        self._defaults = dict(defaults)
        self._names = tuple(defaults)
        self._flag = self._names[2]
        self._taken = len(defaults) if takes_inplace else 3
        self._ranks = ranks
        self._least = least

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments of a call by name, defaults included."""
        return {**self._defaults, **dict(zip(self._names, args, strict=False)), **kwargs}

    def rate(self, values: Arguments) -> Any:
        """Return the probability of dropping, or None for a call that drops nothing."""
        return values["p"] if values[self._flag] else None

    def dropping(self, values: Arguments, rate: float) -> Arguments:
        """Return the arguments of the same call, dropping at ``rate``."""
        return {**values, "p": rate, self._flag: True}

    def refusal(self, values: Arguments) -> str | None:
        """Say why dropkit cannot run this call, or return None."""
        return self.cannot_take(values["input"])

    def call(self, func: Callable[..., Any], values: Arguments) -> Any:
        """Call ``func``, the original, with these arguments."""
        return func(*[values[name] for name in self._names[: self._taken]])

    def run(self, mode: FrameMode | None, func: Callable[..., Any], values: Arguments, site: str) -> Tensor:
        """Run the call on dropkit."""
        return self.drop(func, values["input"], values["p"], values["inplace"], site)

    def cannot_take(self, x: Tensor) -> str | None:
        """Say why dropkit cannot drop in ``x``, or return None."""
        reason = cannot_take(x)
        return "its input has no channels" if reason is None and x.ndim < self._least else reason

    def drop(self, func: Callable[..., Any], x: Tensor, rate: Any, inplace: bool, site: str) -> Tensor:
        """Return ``x`` dropped, which is ``x`` itself, written to, if ``inplace``."""
        if self._ranks and x.ndim not in self._ranks:
            func(x, rate, False)  # drops nothing, but has its say on the shape
        with torch._C.DisableTorchFunction():  # no mode around needs to see what the op is made of
            y = self._noise(x, rate, site)
            return x.copy_(y) if inplace and y is not x else y


def _units(x: Tensor, rate: Any, site: str) -> Tensor:
    return dropout(x, rate, training=True, site=site)


def _alpha(x: Tensor, rate: Any, site: str) -> Tensor:
    return alpha_dropout(x, rate, training=True, site=site)


def _feature_alpha(x: Tensor, rate: Any, site: str) -> Tensor:
    return feature_alpha_dropout(x, rate, training=True, site=site)


def _channels(x: Tensor, rate: Any, site: str) -> Tensor:
    """Drop channels of ``(N, C, *)``, of any rank, as ``torch.feature_dropout`` does."""
    coins = (*x.shape[:2], *[1] * (x.ndim - 2))
    return drop(x, check_input("dropout of channels", x, rate), coins, generator=None, site=site)


def _channels_1d(x: Tensor, rate: Any, site: str) -> Tensor:
    return _channels(x, rate, site) if x.ndim == 3 else _channels(x[None], rate, site)[0]


def _channels_3d(x: Tensor, rate: Any, site: str) -> Tensor:
    return _channels(x, rate, site) if x.ndim == 5 else _channels(x[None], rate, site)[0]


def _functional(training: bool) -> dict[str, Any]:
    return {"input": None, "p": 0.5, "training": training, "inplace": False}


def _primitive(inplace: bool) -> dict[str, Any]:
    return {"input": None, "p": None, "train": None, "inplace": inplace}


FUNCTIONAL: dict[Any, Plain] = {
    F.dropout: Plain("dropout", "dropout", _units, _functional(True)),
    F.dropout1d: Plain("dropout1d", "spatial_dropout1d", _channels_1d, _functional(True), ranks=(2, 3)),
    F.dropout2d: Plain("dropout2d", "spatial_dropout2d", _channels, _functional(True), ranks=(4,), least=2),
    F.dropout3d: Plain("dropout3d", "spatial_dropout3d", _channels_3d, _functional(True), ranks=(4, 5)),
    F.alpha_dropout: Plain("alpha_dropout", "alpha_dropout", _alpha, _functional(False)),
    F.feature_alpha_dropout: Plain(
        "feature_alpha_dropout", "feature_alpha_dropout", _feature_alpha, _functional(False), least=2
    ),
}

_PRIMITIVES = (
    ("dropout", "dropout", _units, 0),
    ("feature_dropout", "spatial_dropout2d", _channels, 2),
    ("alpha_dropout", "alpha_dropout", _alpha, 0),
    ("feature_alpha_dropout", "feature_alpha_dropout", _feature_alpha, 2),
)

PLAIN: dict[Any, Existing] = {
    **FUNCTIONAL,
    **{
        getattr(torch, f"{name}{end}"): Plain(
            name, variant, noise, _primitive(end == "_"), least=least, takes_inplace=False
        )
        for name, variant, noise, least in _PRIMITIVES
        for end in ("", "_")
    },
}
"""``F.dropout``, ``torch.dropout``, ``torch.dropout_`` ..., as a function mode sees them."""

MODULES: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Dropout: F.dropout,
    nn.Dropout1d: F.dropout1d,
    nn.Dropout2d: F.dropout2d,
    nn.Dropout3d: F.dropout3d,
    nn.AlphaDropout: F.alpha_dropout,
    nn.FeatureAlphaDropout: F.feature_alpha_dropout,
}
"""Modules whose forward is one call of a function with their ``p`` and ``training``."""


def dropout_class(module: nn.Module) -> type[nn.Module] | None:
    """Return the class of :data:`MODULES` whose forward ``module`` has, or None."""
    if "forward" in module.__dict__:
        return None
    return next(
        (cls for cls in MODULES if isinstance(module, cls) and type(module).forward is cls.forward), None
    )


WRITERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
"""Those that heed their ``inplace``; the others have it and do not."""
