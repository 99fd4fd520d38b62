"""How to train: every number of one run, checked when it is written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal

from dropkit.core import ConfigError
from dropkit.train.augment import Augmentation, augmentation
from dropkit.train.values import one_of, real, whole, yes_or_no

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine", "linear"]

_DEFAULT_LR = {"sgd": 0.1, "adam": 0.001, "adamw": 0.001}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one training run.

    Args:
        optimizer: ``"sgd"``, ``"adam"`` or ``"adamw"``, as in ``torch.optim``.
        lr: Learning rate at the start, ``> 0``. Default: 0.1 for sgd, 0.001 for adam and adamw.
        momentum: Of sgd, in ``[0, 1)``.
        nesterov: Nesterov's momentum; needs ``momentum > 0``.
        betas: Decay rates of adam and adamw, each in ``[0, 1)``.
        weight_decay: ``>= 0``; an L2 term in the gradient for sgd and adam, decoupled for adamw.
        schedule: Factor on ``lr``. With ``t`` optimiser steps done of ``T`` planned: ``"constant"`` 1, ``"linear"``
            ``1 - t / T``, ``"cosine"`` ``(1 + cos(pi t / T)) / 2``, ``"step"`` ``gamma ** (epochs done // step_size)``.
        step_size: Epochs between two drops of the ``"step"`` schedule, which needs it.
        gamma: Factor of each drop, in ``(0, 1]``.
        epochs: Passes over the training data, ``>= 1``.
        batch: Samples an optimiser step, ``>= 1``.
        eval_batch: Samples at a time in evaluation, ``>= 1``.
        max_norm: Largest L2 norm of a unit's incoming weights, ``> 0``, or None.
        label_smoothing: Share of the target spread over all classes, in ``[0, 1)``; training loss only.
        augment: Augmentations applied to training batches in this order: names, tables with ``name`` and options, or
            objects of ``dropkit.train``; stored as the latter.
        patience: Stop after this many epochs without a better ``monitor`` on validation, ``>= 1``, and put back the
            weights of the best epoch. None: train all epochs, keep the last weights.
        monitor: The validation metric that ``patience`` watches.

    Raises:
        ConfigError: a value is illegal, or contradicts another.
    """

    optimizer: Optimizer = "sgd"
    lr: float | None = None
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    step_size: int | None = None
    gamma: float = 0.1
    epochs: int = 20
    batch: int = 64
    eval_batch: int = 256
    max_norm: float | None = None
    label_smoothing: float = 0.0
    augment: tuple[Augmentation | str | Mapping[str, Any], ...] = ()
    patience: int | None = None
    monitor: str = "loss"

    def __post_init__(self) -> None:
        self._check_optimizer()
        self._check_schedule()
        for name in ("epochs", "batch", "eval_batch"):
            whole(name, getattr(self, name), low=1)
        if self.max_norm is not None:
            real("max_norm", self.max_norm, low=0.0, open_low=True)
        real("label_smoothing", self.label_smoothing, low=0.0, high=1.0, open_high=True)
        if isinstance(self.augment, (str, Mapping)) or not isinstance(self.augment, Iterable):
            raise ConfigError(f"augment must be a list of names or tables, got {self.augment!r}")
        object.__setattr__(self, "augment", tuple(augmentation(entry) for entry in self.augment))
        if self.patience is not None:
            whole("patience", self.patience, low=1)
        if not isinstance(self.monitor, str):
            raise ConfigError(f"monitor must be the name of a metric, got {self.monitor!r}")

    def _check_optimizer(self) -> None:
        one_of("optimizer", self.optimizer, tuple(_DEFAULT_LR))
        if self.lr is not None:
            real("lr", self.lr, low=0.0, open_low=True)
        real("momentum", self.momentum, low=0.0, high=1.0, open_high=True)
        if self.momentum and self.optimizer != "sgd":
            raise ConfigError(
                f"momentum belongs to sgd, got {self.momentum!r} with {self.optimizer}; leave it out"
            )
        yes_or_no("nesterov", self.nesterov)
        if self.nesterov and not self.momentum:
            raise ConfigError(f"nesterov needs a momentum above 0, got {self.momentum!r}")
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ConfigError(f"betas must be two numbers in [0, 1), got {self.betas!r}")
        for beta in self.betas:
            real("betas: each", beta, low=0.0, high=1.0, open_high=True)
        object.__setattr__(self, "betas", tuple(self.betas))
        real("weight_decay", self.weight_decay, low=0.0)

    def _check_schedule(self) -> None:
        one_of("schedule", self.schedule, ("constant", "step", "cosine", "linear"))
        real("gamma", self.gamma, low=0.0, high=1.0, open_low=True)
        if self.step_size is not None:
            whole("step_size", self.step_size, low=1)
        if (self.schedule == "step") != (self.step_size is not None):
            got = f"got schedule={self.schedule!r}, step_size={self.step_size!r}"
            raise ConfigError(f'step_size (in epochs) goes with schedule="step" and only with it, {got}')

    @property
    def start_lr(self) -> float:
        """Learning rate of the first step: ``lr``, or the optimiser's default."""
        return _DEFAULT_LR[self.optimizer] if self.lr is None else self.lr

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """``augment`` as objects."""
        return tuple(augmentation(entry) for entry in self.augment)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: numbers, strings, lists and dicts, as in a TOML or JSON file."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["betas"] = list(self.betas)
        plain["augment"] = [{"name": entry.name, **asdict(entry)} for entry in self.augmentations]
        return plain

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> TrainConfig:
        """Return the config with the values of ``table``.

        Raises:
            ConfigError: a key is unknown (the text gives the nearest known one), or a value is illegal.
        """
        known = [field.name for field in fields(cls)]
        for key in table:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(f"unknown training setting {key!r}; {hint}")
        return cls(**table)
