"""Sites that are the weights of a module: replaced for one forward by what an op makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import RNNCellBase

from dropkit.core import PlanError, Variant, variant
from dropkit.nn.weights.wrapper import LAYERS
from dropkit.surgery.drop import Drop
from dropkit.surgery.forms import weight_op
from dropkit.surgery.plans import Plan, Site
from dropkit.surgery.transposed import is_transposed_linear

_TABLES = (nn.Embedding, nn.EmbeddingBag)
_WHOLE = ("weight",)
_TARGET = "dropkit_target"

_BY_UNIT = ("targeted_weight_dropout", "targeted_unit_dropout")  # whose units are the rows
_RECURRENT_ONLY, _TABLES_ONLY = "weight_drop", "embedding_dropout"


def matrices(module: nn.Module) -> tuple[str, ...]:
    """Return the dotted names of the weights of ``module`` that can be dropped; none if it has no such weight.

    Those are matrices that its own forward multiplies by, or looks up in: of recurrent modules the hidden-to-hidden
    ones, never biases or the scales of a normalisation.
    """
    if isinstance(module, nn.RNNBase):
        return tuple(name for name in module._flat_weights_names if name.startswith("weight_hh_"))
    if isinstance(module, RNNCellBase):
        return ("weight_hh",)
    if isinstance(module, nn.MultiheadAttention):
        joined = ("in_proj_weight",) if module._qkv_same_embed_dim else ()
        apart = () if joined else ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        return (*joined, *apart, "out_proj.weight")
    if isinstance(module, (*LAYERS, *_TABLES)):
        return _WHOLE
    weight = module._parameters.get("weight")
    return _WHOLE if weight is not None and weight.ndim > 1 else ()


def mismatch(entry: Variant, module: nn.Module) -> str | None:
    """Say why modules such as ``module`` are not what ``entry`` acts on the weights of, or return None."""
    kind = type(module).__name__
    if not matrices(module):
        return f"{kind} has no weight matrix of its own"
    if entry.name == _RECURRENT_ONLY and not isinstance(module, (nn.RNNBase, RNNCellBase)):
        return f"weight_drop needs a recurrent module (LSTM, GRU or RNN), got {kind}; for others use 'drop_connect'"
    if entry.name == _TABLES_ONLY and not isinstance(module, _TABLES):
        return (
            f"embedding_dropout needs an Embedding or EmbeddingBag, got {kind}; for others use 'drop_connect'"
        )
    return None


def refusal(module: nn.Module) -> str | None:
    """Say why the weights of ``module``, which are meant, cannot be replaced, or return None."""
    kind = type(module).__name__
    for name in matrices(module):
        holder, leaf = _holder(module, name)
        weight = holder._parameters.get(leaf)
        if weight is None:
            return f"the {name} of the {kind} is computed, not a parameter; remove the parametrisation first"
        if isinstance(weight, nn.parameter.UninitializedParameter):
            return f"the {name} of the {kind} is not initialised yet; run the model once first"
    if getattr(module, "max_norm", None) is not None:
        return f"the {kind} has max_norm, which rescales its weight in every forward; drop its output instead"
    return None


def _holder(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf


class WeightSite(Drop):
    """Draws the weights of one forward of a module. The parameters themselves are read, never written.

    Args:
        plan: The plan it belongs to.
        site: Its site.
        module: The module attached to, which is not kept.
    """

    def __init__(self, plan: Plan, site: Site, module: nn.Module) -> None:
        super().__init__(plan, site)
        self._names = matrices(module)
        self._turned = site.variant in _BY_UNIT and is_transposed_linear(module)

    def operation(self, entry: Variant) -> Callable[..., Tensor]:
        """Return the op of the variant on weights."""
        op = weight_op(entry)
        if op is None:
            raise PlanError(f"site {self.site.id!r}: variant {entry.name!r} does not act on weights")
        return op

    def enter(self, module: nn.Module) -> None:
        """Prepare ``module``, to which this is being attached."""

    def leave(self, module: nn.Module) -> None:
        """Take from ``module`` what :meth:`enter` gave it."""

    def acts(self, module: nn.Module) -> bool:
        """Whether it replaces anything in this call of ``module``."""
        looked_at = torch._C._len_torch_function_stack() > 0  # by an audit, which wants to see rates of 0
        return (module.training or self.forced) and (looked_at or not self.never_drops)

    def drawn(self, module: nn.Module) -> Mapping[str, Tensor]:
        """Return the weights of one forward of ``module``, by dotted name."""
        return {name: self._one(*_holder(module, name), name) for name in self._names}

    def _one(self, holder: nn.Module, leaf: str, name: str) -> Tensor:
        # one matrix is the site itself; several are told apart by their names, as WeightDrop does
        id = self.site.id if self._names == _WHOLE else f"{self.site.id}:{name}"
        weight = getattr(holder, leaf)
        drawn = self._op(
            weight.t() if self._turned else weight,
            self.rate,
            training=True,
            site=id,
            **self._arguments(holder, leaf),
        )
        return drawn.t() if self._turned else drawn

    def _arguments(self, holder: nn.Module, leaf: str) -> dict[str, Any]:
        return self._options


class MixoutSite(WeightSite):
    """Falls back to the weights that the module had when this was attached to it.

    They are buffers of the module, so that they go where it goes; its state_dict leaves them out.
    """

    def enter(self, module: nn.Module) -> None:
        """Keep a copy of the weights of now."""
        for holder, leaf in (_holder(module, name) for name in self._names):
            start = holder._parameters[leaf].detach().clone()  # type: ignore[union-attr]
            holder.register_buffer(f"{_TARGET}_{leaf}", start, persistent=False)

    def leave(self, module: nn.Module) -> None:
        """Drop the copies."""
        for holder, leaf in (_holder(module, name) for name in self._names):
            holder._buffers.pop(f"{_TARGET}_{leaf}", None)
            holder._non_persistent_buffers_set.discard(f"{_TARGET}_{leaf}")

    def tensors(self, module: nn.Module) -> Mapping[str, Tensor]:
        """Return the weights to fall back to."""
        places = {name: _holder(module, name) for name in self._names}
        return {name: holder.get_buffer(f"{_TARGET}_{leaf}") for name, (holder, leaf) in places.items()}

    def _arguments(self, holder: nn.Module, leaf: str) -> dict[str, Any]:
        return {"target": holder._buffers[f"{_TARGET}_{leaf}"], **self._options}


def weight_site(plan: Plan, site: Site, module: nn.Module) -> WeightSite:
    """Return what acts on the weights of ``module``."""
    return (MixoutSite if site.variant == "mixout" else WeightSite)(plan, site, module)


def check_weights(site: Site, module: nn.Module) -> None:
    """Raise ``PlanError`` where the site's variant cannot act on the weights of ``module``."""
    reason = mismatch(variant(site.variant), module) or refusal(module)
    if reason is None and "forward" in module.__dict__ and not hasattr(module.__dict__["forward"], "weights"):
        reason = f"the forward of this {type(module).__name__} was replaced, so it may not read its weights"
    if reason is not None:
        raise PlanError(f"site {site.id!r}: {reason}")
