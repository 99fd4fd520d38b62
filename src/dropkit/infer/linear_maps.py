"""Which steps of a forward pass are linear maps with a weight, and which pass a factor on as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from dropkit.core import catalogue
from dropkit.surgery.tree import Tree


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Modules with f(c x) = c f(x) for c >= 0 in eval mode. Maxima are the one thing among them that is not linear.
_PASSING = (
    nn.Identity, nn.Flatten, nn.Unflatten,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.Upsample, nn.Fold, nn.Unfold,
    nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d,
    nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d,
    nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d,
)  # fmt: skip
# Modules with a parameter ``weight`` that are linear in their inputs.
_LINEAR = (
    nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)
_CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
_PROJECTIONS = ("q_proj_weight", "k_proj_weight", "v_proj_weight")  # of attention that has them apart

# The same for functions and methods, by name: in their first argument, whose factor is passed on.
_PASSING_CALLS = _words(
    """
    flatten unflatten ravel reshape reshape_as view view_as permute transpose t T mT swapaxes movedim squeeze unsqueeze
    contiguous clone detach expand expand_as getitem select narrow index_select gather take_along_dim flip roll float
    double half bfloat16 to type_as cpu cuda mean sum cumsum amax amin avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d dropout dropout1d dropout2d dropout3d feature_dropout interpolate
    pixel_shuffle pixel_unshuffle channel_shuffle fold unfold pad chunk split tensor_split unbind repeat tile
    repeat_interleave tril triu neg truediv itruediv div divide true_divide values pack_padded_sequence
    pad_packed_sequence
    """
)
_LIKE = _words("reshape_as view_as expand_as type_as")  # their second argument says a shape or a dtype only
_PACKING = _words("pack_padded_sequence pad_packed_sequence")  # what they return beside data are lengths
# Functions with c f(x, y) = f(c x, c y) for c >= 0, with the names of what they join.
_JOINING_CALLS = {
    **dict.fromkeys(
        _words("add iadd radd sub isub rsub subtract maximum minimum max min"), ("input", "other")
    ),
    **dict.fromkeys(_words("cat concat concatenate stack hstack vstack"), ("tensors",)),
    "where": ("condition", "input", "other"),
    "masked_fill": ("input", "mask", "value"),
    "setitem": ("input", "index", "value"),
}
# Functions that are linear in each of the last two of these arguments, one of which may be a weight.
_PRODUCTS = {
    **dict.fromkeys(_words("mul imul rmul multiply matmul rmatmul imatmul"), ("input", "other")),
    **dict.fromkeys(_words("mm bmm mv"), ("input", "mat2")),
    **dict.fromkeys(_words("linear conv1d conv2d conv3d"), ("input", "weight")),
    **dict.fromkeys(_words("conv_transpose1d conv_transpose2d conv_transpose3d"), ("input", "weight")),
    "addmm": ("input", "mat1", "mat2"),
    "baddbmm": ("input", "batch1", "batch2"),
}
_IN_PLACE = _words("iadd isub imul itruediv imatmul setitem")
_ASKING = _words(
    """
    size dim shape ndim numel nelement dtype device stride is_contiguous is_floating_point requires_grad is_cuda layout
    len ndimension element_size is_complex zeros_like ones_like empty_like new_zeros new_ones new_empty
    """
)


def function_name(node: fx.Node) -> str:
    """Return the name of the function of torch or Python that ``node`` calls; empty for anything else."""
    target: Any = node.target
    if node.op == "call_method":
        return str(target).strip("_")
    if node.op != "call_function":
        return ""
    if target is getattr:
        return str(node.args[1])
    name = str(getattr(target, "__name__", ""))
    if name == "__get__":  # an attribute, as a function mode sees it
        return str(target.__self__.__name__)
    package = (getattr(target, "__module__", None) or "torch").split(".")[0]  # a tensor's methods have none
    return name.strip("_") if package in ("torch", "_operator", "builtins") else ""


@dataclass(frozen=True)
class Part:
    """How the output of a step depends on some of its inputs.

    Attributes:
        operands: The inputs, or constants. A factor that all of them have is a factor of the output.
        product: Whether the output is linear in each of the two, so that it has the product of their factors.
        weights: Names of parameters that may be multiplied in place of the operands.
    """

    operands: tuple[Any, ...]
    product: bool = False
    weights: tuple[str, ...] = ()


def asks(node: fx.Node) -> bool:
    """Whether ``node`` asks for a shape or the like, and uses no value."""
    name = function_name(node)
    if name == "getitem" and isinstance(node.args[0], fx.Node) and function_name(node.args[0]) in _PACKING:
        return bool(node.args[1] != 0)
    return name in _ASKING


def joins(node: fx.Node) -> bool:
    """Whether ``node`` adds tensors or puts them together."""
    return function_name(node) in _JOINING_CALLS or function_name(node) in ("addmm", "baddbmm")


def writes_to(node: fx.Node) -> Any:
    """Return the input that ``node`` writes its output to, or None."""
    name = str(node.target) if node.op == "call_method" else str(getattr(node.target, "__name__", ""))
    if "out" in node.kwargs:
        return node.kwargs["out"]
    in_place = function_name(node) in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    return node.args[0] if in_place and node.op != "call_module" else None


def nodes_in(node: fx.Node) -> list[fx.Node]:
    """Return the inputs of ``node``, each as often as it is one; not those of which only the shape is used."""
    args = node.args[:1] if function_name(node) in _LIKE else node.args
    return _nodes((args, node.kwargs))


def parts(node: fx.Node, tree: Tree) -> list[Part] | None:
    """Return how the output of ``node`` depends on its inputs; None where it is not known to be linear in any."""
    if node.op == "call_module":
        return _module_parts(str(node.target), tree.modules[str(node.target)], node)
    name = function_name(node)
    if name == "einsum":
        operands = _nodes(node.args)
        return [Part(tuple(operands), product=True)] if len(operands) == 2 else None
    if name in _PRODUCTS:
        first, second = _given(node, _PRODUCTS[name])[-2:]
        return [Part((first, second), product=True)]
    if name in _JOINING_CALLS:
        return [Part(_joined(node, name))]
    if name not in _PASSING_CALLS or not node.args or _makes_other(node, name):
        return None
    return [Part((node.args[0],))]


def _given(node: fx.Node, names: tuple[str, ...]) -> list[Any]:
    """Return the arguments of these names, by position or keyword, None for those that are left out."""
    return [node.args[k] if k < len(node.args) else node.kwargs.get(name) for k, name in enumerate(names)]


def _joined(node: fx.Node, name: str) -> tuple[Any, ...]:
    given = _given(node, _JOINING_CALLS[name])
    if isinstance(given[0], list | tuple):
        return tuple(given[0])
    if len(given) == 3:  # the other one chooses
        given.pop(0 if name == "where" else 1)
    elif name in ("max", "min"):  # a number is an axis
        given = [x for x in given if isinstance(x, fx.Node)]
    return tuple(0 if x is None else x for x in given)


def _makes_other(node: fx.Node, name: str) -> bool:
    """Whether the call fills in another number than 0, or rounds to whole numbers."""
    if name == "pad":
        given = {**dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)), **node.kwargs}
        return bool(given.get("value"))
    dtypes = [x for x in (*node.args, *node.kwargs.values()) if isinstance(x, torch.dtype)]
    return any(not dtype.is_floating_point for dtype in dtypes) or "rounding_mode" in node.kwargs


def _nodes(value: Any) -> list[fx.Node]:
    met: list[fx.Node] = []
    fx.node.map_arg(value, lambda node: met.append(node) or node)  # type: ignore[func-returns-value]
    return met


def _module_parts(name: str, module: nn.Module, node: fx.Node) -> list[Part] | None:
    inside = f"{name}." if name else ""
    given = [*node.args, *node.kwargs.values()]
    if module._forward_pre_hooks or not given:
        return None
    first = tuple(_nodes(given[0])[:1])  # of a packed sequence the data
    if _acts_as(module, (nn.Bilinear,)):
        return [Part(tuple(given[:2]), product=True, weights=(f"{inside}weight",))]
    if _acts_as(module, _LINEAR):
        return [Part(first, weights=(f"{inside}weight",))]
    if _acts_as(module, _CELLS):
        return [Part(first, weights=(f"{inside}weight_ih",))]
    if isinstance(module, nn.RNNBase) and _acts_as(module, _RECURRENT):
        ends = ("", "_reverse")[: 1 + module.bidirectional]
        return [Part(first, weights=tuple(f"{inside}weight_ih_l0{end}" for end in ends))]
    if isinstance(module, nn.MultiheadAttention) and _acts_as(module, (nn.MultiheadAttention,)):
        three = _given(node, ("query", "key", "value"))
        if module.in_proj_weight is not None:
            return [Part(tuple(three), weights=(f"{inside}in_proj_weight",))]
        return [Part((x,), weights=(inside + own,)) for x, own in zip(three, _PROJECTIONS, strict=True)]
    return [Part(first)] if _module_passes(module) else None


def _module_passes(module: nn.Module) -> bool:
    if module._forward_hooks or module._forward_pre_hooks or getattr(module, "return_indices", False):
        return False
    if type(module).__module__.startswith("dropkit."):
        entries = [entry for entry in catalogue() if entry.module is type(module) and entry.kind == "op"]
        return any(not entry.acts_in_eval for entry in entries)
    return _acts_as(module, _PASSING)


def _acts_as(module: nn.Module, classes: Iterable[type[nn.Module]]) -> bool:
    """Whether ``module`` is of one of ``classes`` and has not a forward of its own."""
    return any(isinstance(module, cls) and type(module).forward is cls.forward for cls in classes)
