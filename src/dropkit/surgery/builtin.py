"""Torch's own modules: what their forwards are known to do, so that no mode need watch them."""

from __future__ import annotations

from typing import Any

from torch import nn

from dropkit.surgery.calls import CallForward
from dropkit.surgery.drop import Drop
from dropkit.surgery.existing import FUNCTIONAL, MODULES, Plain
from dropkit.surgery.plans import Site, site_id
from dropkit.surgery.tree import Tree

_LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
_FUSED_IN_EVAL = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)
_DROPOUT = {cls: FUNCTIONAL[function] for cls, function in MODULES.items()}


def built_in(module: nn.Module) -> bool:
    """Whether the forward of ``module`` is torch's or dropkit's, so that what it calls is known."""
    cls = type(module)
    held = module.__dict__.get("forward")
    if held is not None and not (isinstance(held, CallForward) and held.original is None):
        return False
    if cls.__module__.split(".")[0] == "dropkit":
        return True
    known = cls.__module__.startswith("torch.nn.modules.") and getattr(nn, cls.__name__, None) is cls
    return known and not _calls_other_code(module)


def has_fast_path(module: nn.Module) -> bool:
    """Whether ``module`` has fused code for eval mode, which it leaves where a mode looks on."""
    return isinstance(module, _FUSED_IN_EVAL)


def own_function(module: nn.Module) -> str | None:
    """Return the function that drops inside one of torch's modules, which is one site with it, or None."""
    forward = type(module).forward
    if isinstance(module, nn.MultiheadAttention) and forward is nn.MultiheadAttention.forward:
        return "multi_head_attention_forward"
    if isinstance(module, nn.RNNBase) and any(forward is cls.forward for cls in _RECURRENT):
        return module.mode.lower()
    plain = _plain(module)
    return None if plain is None else plain.name


def _plain(module: nn.Module) -> Plain | None:
    """Return what a dropout module of torch's calls, or None for another module."""
    forward = type(module).forward
    return next(
        (p for cls, p in _DROPOUT.items() if isinstance(module, cls) and forward is cls.forward), None
    )


def own_site(module: nn.Module, name: str) -> Site | None:
    """Return the site that one of torch's modules is, with the rate of now; None where it drops nothing."""
    own, plain = own_function(module), _plain(module)
    rate: Any = getattr(module, "dropout" if plain is None else "p", 0.0)
    if own is None or rate == 0.0 or getattr(module, "num_layers", 2) == 1:
        return None
    return Site(
        id=site_id(name, "output"),
        module=name,
        on="output",
        variant="dropout" if plain is None else plain.variant,
        rate=float(rate),
        type=type(module).__name__,
    )


def has_foreign_hooks(tree: Tree) -> bool:
    """Whether hooks that are neither torch's nor dropkit's run inside the model."""
    return any(
        not isinstance(hook, Drop) and (getattr(hook, "__module__", None) or "").split(".")[0] != "torch"
        for module in tree.modules.values()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for hook in hooks.values()
    )


def _calls_other_code(module: nn.Module) -> bool:
    activation: Any = getattr(module, "activation", None) if isinstance(module, _LAYERS) else None
    return activation is not None and not (getattr(activation, "__module__", None) or "").startswith("torch")
