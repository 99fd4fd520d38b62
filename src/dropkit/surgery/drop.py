"""What acts at a site: an op with its rate and options, and where its tensor is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from dropkit.core import DtypeError, PlanError, Variant, variant
from dropkit.surgery.activations import in_place
from dropkit.surgery.forms import is_held
from dropkit.surgery.frames import UNWATCHED, innermost_mode
from dropkit.surgery.held import Held
from dropkit.surgery.plans import Plan, Site

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Drop:
    """Applies the variant of one site. Holds no module, so that copies and pickles of a model can carry it.

    Args:
        plan: The plan it belongs to.
        site: Its site.
    """

    def __init__(self, plan: Plan, site: Site) -> None:
        entry = variant(site.variant)
        self.plan = plan
        self.site = site
        self.rate = site.rate
        self._op = self.operation(entry)
        self._options = dict(site.options)
        self.forced = False  # drop in eval mode, too
        # a scaling is the one option that acts outside training
        self._own_in_eval = entry.acts_in_eval or self._options.get("scaling") == "test"
        self.held: nn.Module | None = None

    def operation(self, entry: Variant) -> Callable[..., Tensor]:
        """Return what is called with a tensor, a rate, ``training``, ``site`` and the options."""
        if is_held(entry):
            return _nothing_held
        if entry.op is None:
            raise PlanError(f"site {self.site.id!r}: variant {entry.name!r} has no op and cannot be attached")
        return entry.op

    def hold(self, module: nn.Module) -> None:
        """Let ``module``, which has joined the model, do what an op would."""
        self.held, self._op = module, Held(module)

    @property
    def acts_in_eval(self) -> bool:
        """Whether it does something in eval mode."""
        return self.forced or self._own_in_eval

    @property
    def never_drops(self) -> bool:
        """Whether its rate is 0, and will be."""
        return (
            isinstance(self.rate, float)
            and self.rate == 0.0
            and not self.forced
            and self._op is not _nothing_held
            and self.held is None
        )

    def tensors(self, module: nn.Module) -> Mapping[str, Tensor]:
        """Return the parameters and buffers that belong to this site on ``module``, to be saved with the plan."""
        return (
            {}
            if self.held is None
            else {**dict(self.held.named_parameters()), **dict(self.held.named_buffers())}
        )

    def belongs_to(self, plan: Plan) -> bool:
        """Whether ``plan`` put it there."""
        return self.plan is plan or self.plan == plan

    def tensor(self, x: Tensor, training: bool, **more: Tensor) -> Tensor:
        """Return ``x`` with parts of it dropped, or ``x`` itself where not training.

        Args:
            x: The tensor.
            training: Whether the module it is in is in training mode.
            more: Further tensors that the op needs.
        """
        if not x.is_floating_point():
            raise DtypeError(
                f"site {self.site.id!r} got {x.dtype}, and only floating-point values can be dropped; address the "
                "output of a later module, such as the embedding"
            )
        options = {**self._options, **more, "training": training or self.forced, "site": self.site.id}
        mode = innermost_mode()
        if mode is not None:
            mode.frames.append(UNWATCHED)  # what the op calls is not called by the model
        try:
            y: Tensor = self._op(x, self.rate, **options)
        finally:
            if mode is not None:
                mode.frames.pop()
        return y

    def result(self, value: Any, training: bool) -> Any:
        """Return ``value``, a tensor or a tuple or list that begins with one, with that tensor dropped."""
        if isinstance(value, Tensor):
            return self.tensor(value, training)
        if isinstance(value, (tuple, list)) and value and isinstance(value[0], Tensor):
            first = self.tensor(value[0], training)
            if first is value[0]:
                return value
            items = [first, *value[1:]]
            make: Callable[[list[Any]], Any] = getattr(type(value), "_make", type(value))
            return make(items)
        raise PlanError(
            f"site {self.site.id!r} returns {_describe(value)}, not a tensor or a tuple that begins with one; "
            "attach to a module inside it that returns a tensor"
        )

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], training: bool) -> Arguments:
        """Return the arguments of a call with the first tensor among them dropped."""
        x = self.first(args, kwargs)
        return replaced(args, kwargs, x, self.tensor(x, training))

    def first(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """Return the first tensor among the arguments, positional ones before keywords."""
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor):
                return value
        raise PlanError(
            f"site {self.site.id!r} was called without a tensor argument; attach to a module that is given one"
        )


class OutputHook(Drop):
    """A forward hook."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        """Return what the module's output is replaced by, None for nothing."""
        return self.result(output, module.training) if module.training or self.acts_in_eval else None


class InputHook(Drop):
    """A forward pre-hook, with keyword arguments.

    Args:
        plan: The plan it belongs to.
        site: Its site.
        names: Parameters of the module's forward in order, by which keyword arguments are taken however a call
            orders them.
    """

    def __init__(self, plan: Plan, site: Site, names: tuple[str, ...]) -> None:
        super().__init__(plan, site)
        self._names = names

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        """Return what the module's arguments are replaced by, None for nothing."""
        acts = module.training or self.acts_in_eval
        return self.arguments(args, ordered(kwargs, self._names), module.training) if acts else None


def ordered(kwargs: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return keyword arguments in the order of the parameters ``names``."""
    if len(kwargs) < 2:
        return kwargs
    return {**{name: kwargs[name] for name in names if name in kwargs}, **kwargs}


def call(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    before: Drop | None,
    after: Drop | None,
    training: bool,
) -> Any:
    """Call activation ``func``, with dropout ``before`` it, on its first tensor, and ``after`` it, on its result."""
    drop = before or after
    if drop is None:
        return func(*args, **kwargs)
    x = drop.first(args, kwargs)
    # Autograd needs what an in-place activation wrote; so it writes to a copy, and the outcome goes to x.
    writes = in_place(func, kwargs)
    work = x.clone() if writes else x
    if before is not None:
        work = before.tensor(work, training)
    args, kwargs = replaced(args, kwargs, x, work)
    value: Tensor = func(*args, **kwargs)
    if after is not None:
        value = after.tensor(value, training)
    return x.copy_(value) if writes else value


def replaced(args: tuple[Any, ...], kwargs: Mapping[str, Any], old: Tensor, new: Tensor) -> Arguments:
    """Return the arguments of a call with ``new`` in place of ``old``."""
    position = next((i for i, value in enumerate(args) if value is old), None)
    if position is not None:
        return (*args[:position], new, *args[position + 1 :]), dict(kwargs)
    name = next(key for key, value in kwargs.items() if value is old)
    return args, {**kwargs, name: new}


def _describe(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        inner = type(value[0]).__name__ if value else "nothing"
        return f"a {type(value).__name__} that begins with {inner}"
    return f"a {type(value).__name__}"


def _nothing_held(*_: Any, **__: Any) -> Tensor:
    raise PlanError("the module of this site is gone; apply the plan again")
