"""Which steps of a forward pass are linear maps with a weight, and which pass a factor on as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx, nn

from dropkit.core import catalogue
from dropkit.infer.flow import is_mark
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

# The same for functions and methods, by name: in their first argument, whose factor is passed on.
_PASSING_CALLS = _words(
    """
    flatten unflatten ravel reshape reshape_as view view_as permute transpose t T mT swapaxes movedim squeeze unsqueeze
    contiguous clone detach expand expand_as getitem select narrow index_select gather flip roll float double half
    bfloat16 cpu cuda mean sum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    dropout dropout1d dropout2d dropout3d feature_dropout interpolate pixel_shuffle pixel_unshuffle channel_shuffle fold
    unfold
    """
)
_BY_A_NUMBER = frozenset(
    ("mul", "imul", "rmul", "truediv", "itruediv", "div", "multiply", "divide", "true_divide")
)
# Functions that are linear in their first argument, with the weight as the second.
_LINEAR_CALLS = _words(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul mm"
)
_ASKING = _words(
    """
    size dim shape ndim numel nelement dtype device stride is_contiguous is_floating_point requires_grad is_cuda layout
    len ndimension element_size is_complex
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


def asks(node: fx.Node) -> bool:
    """Whether ``node`` asks for a shape or the like, and uses no value."""
    return function_name(node) in _ASKING


def passes(node: fx.Node, value: fx.Node, tree: Tree) -> bool:
    """Whether a factor on ``value``, at least 0, is a factor on the output of ``node``."""
    if is_mark(node):
        return True
    if node.op == "call_module":
        return _module_passes(tree.modules[str(node.target)])
    name, operands = function_name(node), [*node.args, *node.kwargs.values()]
    if name in _BY_A_NUMBER:
        first, second = operands[:2]
        return isinstance(second, int | float) or (name.endswith("mul") and isinstance(first, int | float))
    if name == "pad":
        return _pads_with_zeros(node)
    return name in _PASSING_CALLS and operands[0] is value


def weights(node: fx.Node, value: fx.Node, tree: Tree) -> list[str] | None:
    """Return the names of the weights that ``node`` multiplies ``value`` by; None if it is no linear map of it."""
    if node.op == "call_module":
        return _module_weights(str(node.target), tree.modules[str(node.target)], node, value)
    if function_name(node) not in _LINEAR_CALLS:
        return None
    operands = [*node.args, *(node.kwargs[key] for key in ("weight", "other", "mat2") if key in node.kwargs)]
    if len(operands) < 2 or operands[0] is not value:
        return None
    weight = operands[1]
    return [str(weight.target)] if isinstance(weight, fx.Node) and weight.op == "get_attr" else None


def _module_passes(module: nn.Module) -> bool:
    if module._forward_hooks or module._forward_pre_hooks or getattr(module, "return_indices", False):
        return False
    if type(module).__module__.startswith("dropkit."):
        entries = [entry for entry in catalogue() if entry.module is type(module) and entry.kind == "op"]
        return any(not entry.acts_in_eval for entry in entries)
    return _acts_as(module, _PASSING)


def _pads_with_zeros(node: fx.Node) -> bool:
    names = ("input", "pad", "mode", "value")
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    return not given.get("value")


def _module_weights(name: str, module: nn.Module, node: fx.Node, value: fx.Node) -> list[str] | None:
    inside = f"{name}." if name else ""
    if module._forward_pre_hooks:
        return None
    if _acts_as(module, _LINEAR):
        return [f"{inside}weight"]
    if [*node.args, *node.kwargs.values()][0] is not value:
        return None  # the state of a recurrent layer
    if _acts_as(module, _CELLS):
        return [f"{inside}weight_ih"]
    if _acts_as(module, _RECURRENT):
        return [f"{inside}weight_ih_l0{end}" for end in ("", "_reverse")[: 1 + module.bidirectional]]  # type: ignore[operator]
    return None


def _acts_as(module: nn.Module, classes: Iterable[type[nn.Module]]) -> bool:
    """Whether ``module`` is of one of ``classes`` and has not a forward of its own."""
    return any(isinstance(module, cls) and type(module).forward is cls.forward for cls in classes)
