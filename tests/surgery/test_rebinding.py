"""Functions set on modules are those of the copy, in a copy."""

import functools
import types

import pytest
import torch
from torch import nn

from dropkit.surgery.copying import copied


def plain(layer, original):
    def forward(x):
        return original(x)

    return forward


def wrapped(layer, original):
    return functools.wraps(original)(plain(layer, original))


def by_default(layer, original):
    return lambda x, run=original: run(x)


def by_keyword_default(layer, original):
    def forward(x, *, held=(layer,)):
        return type(held[0]).forward(held[0], x)

    return forward


def by_class(layer, original):
    return lambda x: type(layer).forward(layer, x)


def partial(layer, original):
    return functools.partial(type(layer).forward, layer)


def method(layer, original):
    return types.MethodType(lambda self, x: type(self).forward(self, x), layer)


def method_with_closure(layer, original):
    return types.MethodType(lambda self, x: original(x), layer)


def twice(layer, original):
    return plain(layer, method_with_closure(layer, plain(layer, original)))


def autocast(layer, original):
    return torch.autocast("cpu", enabled=False)(original)


def variable(layer, original):
    code = "def own(x):\n    return run(x) + 0 * held.running_mean\ndef forward(x):\n    return (lambda: own(x))()"
    variables = {"held": layer, "run": original}
    exec(code, variables)
    return variables["forward"]


@pytest.mark.parametrize(
    "patch",
    [
        plain,
        wrapped,
        by_default,
        by_keyword_default,
        by_class,
        partial,
        method,
        method_with_closure,
        twice,
        autocast,
        variable,
    ],
)
def test_a_patched_forward_is_of_the_copy(patch, rng):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    layer = model[1]
    layer.forward = patch(layer, layer.forward)
    held, x = layer.forward, torch.randn(6, 4, generator=rng)
    made = copied(model)
    made(x)
    assert made[1].num_batches_tracked == 1
    assert layer.num_batches_tracked == 0
    model(x)
    assert layer.forward is held
    assert (layer.num_batches_tracked, made[1].num_batches_tracked) == (1, 1)
    assert torch.equal(made(x), model(x))


def test_hooks_that_hold_modules_are_of_the_copy_and_may_still_tell_what_they_saw(rng):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    seen, calls = [], 0

    def hook(module, args, output):
        nonlocal calls
        calls += 1
        seen.append(module)
        return model[1](output)

    model[0].register_forward_hook(hook)
    made = copied(model)
    made(torch.randn(6, 4, generator=rng))
    assert (calls, seen) == (1, [made[0]])
    assert (made[1].num_batches_tracked, model[1].num_batches_tracked) == (2, 0)


def test_functions_that_hold_no_module_stay_the_same_objects():
    model, seen = nn.Sequential(nn.Linear(4, 5)), []
    model[0].note = lambda x: seen.append(x)
    model[0].register_forward_hook(lambda module, args, output: seen.append(output))
    made = copied(model)
    assert made[0].note is model[0].note
    assert list(made[0]._forward_hooks.values()) == list(model[0]._forward_hooks.values())


def test_a_function_that_holds_itself_and_one_without_a_value(rng):
    model = nn.Sequential(nn.Linear(4, 4))
    original = model[0].forward

    def again(x, times):
        return original(x) if times == 0 else again(x, times - 1)

    def forward(x):
        return again(x, 2)

    model[0].forward = forward
    x = torch.randn(6, 4, generator=rng)
    assert torch.equal(copied(model)(x), model(x))
