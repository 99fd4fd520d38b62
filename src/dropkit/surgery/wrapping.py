"""Sites whose variant is a wrapper: the module's forward runs through it, with the module's own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from dropkit.core import ModuleError, PlanError, Variant, variant
from dropkit.surgery.drop import Drop
from dropkit.surgery.plans import Plan, Site


def mismatch(entry: Variant, module: nn.Module, options: Mapping[str, Any] | None = None) -> str | None:
    """Say why the wrapper ``entry`` does not take ``module``, or return None."""
    try:
        _wrapper(entry, module, 0.0, options or {})
    except ModuleError as error:
        return str(error)
    return None


def wraps_weight(site: Site, module: nn.Module) -> bool:
    """Whether the weights of ``module`` are dropped by a wrapper around its forward, not before it.

    That is where a mask of the whole matrix would be a waste, or one a sample is wanted.
    """
    table = site.variant == "embedding_dropout" and isinstance(module, nn.Embedding)
    return site.on == "weight" and (table or bool(site.options.get("per_sample")))


def check_wrapper(site: Site, module: nn.Module) -> None:
    """Raise ``PlanError`` where the site's variant cannot wrap ``module``."""
    reason = mismatch(variant(site.variant), module, site.options)
    if reason is None and "forward" in module.__dict__ and not hasattr(module.__dict__["forward"], "wrapper"):
        reason = f"the forward of this {type(module).__name__} was replaced, and cannot be wrapped"
    if reason is not None:
        raise PlanError(f"site {site.id!r}: {reason}")


def _wrapper(entry: Variant, module: nn.Module, rate: Any, options: Mapping[str, Any]) -> Any:
    make: Any = entry.module
    return make(module, rate, **options)


class WrapperSite(Drop):
    """Runs the forward of a module through a wrapper that holds the module only meanwhile.

    Args:
        plan: The plan it belongs to.
        site: Its site.
        module: The module attached to, which is not kept.
    """

    def __init__(self, plan: Plan, site: Site, module: nn.Module) -> None:
        super().__init__(plan, site)
        wrapper = _wrapper(variant(site.variant), module, site.rate, {**self._options, "site": site.id})
        (self._name,) = (name for name, child in wrapper._modules.items() if child is module)
        del wrapper._modules[self._name]
        self._wrapper: nn.Module = wrapper

    def operation(self, entry: Variant) -> Callable[..., Tensor]:
        """Return nothing to call: the wrapper does it all."""
        return _never

    def acts(self, module: nn.Module) -> bool:
        """Whether it does anything in this call of ``module``."""
        return module.training or self.acts_in_eval

    def run(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``module``, a twin of the one attached to, in the wrapper."""
        wrapper: Any = object.__new__(
            type(self._wrapper)
        )  # one a call: another thread may be in the module, too
        wrapper.__dict__.update(self._wrapper.__dict__)
        wrapper.__dict__["_modules"] = {**self._wrapper._modules, self._name: module}
        wrapper.__dict__["training"] = module.training or self.forced
        if self.rate is not self.site.rate:
            wrapper.rate = self.rate
        if kwargs:  # names are the module's
            bound = inspect.signature(type(module).forward).bind(module, *args, **kwargs)
            args, kwargs = bound.args[1:], bound.kwargs
        return type(wrapper).forward(wrapper, *args, **kwargs)


def _never(*_: Any, **__: Any) -> Tensor:
    raise PlanError("a wrapper acts on a module, not on a tensor")
