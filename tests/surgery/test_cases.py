"""Every kind of model that people hold: looked at, set, planned for and sampled from, or refused by name."""

import dataclasses
import gc
import random
import weakref
from collections import Counter

import numpy as np
import pytest
import torch

import dropkit as dk
from dropkit.core import ConfigError, DataError, NoMatchError, PlanError
from tests.cases import CASES, Case

from .models import assert_same, snapshot

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
NEEDED = {"bert": "transformers", "gpt2": "transformers", "llama": "transformers", "vit": "transformers",
          "t5": "transformers", "lora": "peft"}  # fmt: skip
every = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@pytest.fixture(autouse=True)
def _needed(request):
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    if isinstance(case, Case) and (needed := NEEDED.get(case.name.split("-")[0])):
        pytest.importorskip(needed)


def leaves(value):
    """Return the floating-point tensors in what a model returned."""
    found = torch.utils._pytree.tree_leaves(dict(value) if hasattr(value, "keys") else value)
    return [leaf for leaf in found if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]


def hold(seed):
    """Hold the generators of Python and NumPy."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def run(case, model, seed, host=3):
    """Run a forward from given states of all generators, in a state of the model that it puts back."""
    own = [(m.own.bit_generator, m.own.bit_generator.state) for m in model.modules() if hasattr(m, "own")]
    buffers = [(b, b.clone()) for b in model.buffers()]
    hold(host)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = leaves(case.call(model))
    for generator, state in own:
        generator.state = state
    for buffer, value in buffers:
        buffer.data.copy_(value)
    return found


def equal(first, second):
    return len(first) == len(second) > 0 and all(map(torch.equal, first, second))


def rates(case, model):
    return {site.id: site.rate for site in dk.audit(model, *case.given).sites}


def random_at(case, model, seed, random_expected):
    """Whether another seed of torch gives other outputs; one is enough, and by chance many may be the same."""
    first = run(case, model, seed)
    others = 80 if random_expected else 3
    return any(not equal(first, run(case, model, seed + k)) for k in range(1, others))


def by_hand(case):
    return any(not p.controllable and "NumPy" not in p.kind for p in case.sites.values())


@every
def test_the_audit_finds_what_is_planted_and_nothing_else(case):
    found = {site.id: site for site in dk.audit(case.make(), *case.given).sites}
    assert {id: (s.kind, s.rate, s.controllable) for id, s in found.items()} == {
        id: tuple(planted) for id, planted in case.sites.items()
    }
    assert all(site.source for site in found.values())


@every
def test_nothing_random_is_missed(case, seed):
    model = case.make().train()
    ids = [id for id, planted in case.sites.items() if planted.controllable]
    plain, attributes = run(case, model, seed), [dict(vars(m)) for m in model.modules()]
    if ids:
        with dk.set_rate(model, 0.0, at=ids, example_inputs=case.example):
            assert random_at(case, model, seed, by_hand(case)) == by_hand(case)
        with dk.set_rate(model, 0.3, at=ids):
            assert random_at(case, model, seed, True)
            assert {id: rate for id, rate in rates(case, model).items() if id in ids} == dict.fromkeys(
                ids, 0.3
            )
    else:
        assert random_at(case, model, seed, by_hand(case)) == by_hand(case)
    assert equal(run(case, model, seed), plain)
    assert rates(case, model) == {id: planted.rate for id, planted in case.sites.items()}
    assert [vars(module) for module in model.modules()] == attributes


def gradients(case, model, seed):
    outputs = run(case, model, seed)
    total = sum(value.double().square().sum() for value in outputs)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters or not total.requires_grad:
        return outputs
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return [*outputs, *(torch.zeros(()) if g is None else g for g in found)]


def some_in_eval(model):
    """Put every second module into eval mode; return all flags."""
    modules = list(model.modules())
    put(model, [module.training and i % 2 == 1 for i, module in enumerate(modules)])
    return [module.training for module in modules]


def put(model, flags):
    for module, flag in zip(model.modules(), flags, strict=True):
        module.training = flag


@every
def test_a_plan_comes_and_goes_without_a_trace(case, seed):
    model = case.make()
    flags = some_in_eval(model)
    before, first = snapshot(model), gradients(case, model, seed)
    plan = dk.plan(model, case.rules, example_inputs=case.example)
    assert plan.sites

    def changes(seed):
        dropping = gradients(case, model.train(), seed)
        put(model, flags)
        with plan.apply(model):
            changed = not equal(gradients(case, model.train(), seed), dropping)
            put(model, flags)
        return changed

    assert any(
        changes(seed + k) for k in range(40)
    )  # a model that drops whole layers may drop all that the plan hits
    assert_same(before, snapshot(model))
    assert equal(gradients(case, model, seed), first)


@every
@pytest.mark.parametrize("share_masks", [True, False], ids=["shared", "own"])
def test_it_is_sampled_from_or_refused_by_name(case, share_masks, seed):
    model = case.make().eval()
    before = snapshot(model)
    if case.refused is not None:
        with pytest.raises((PlanError, NoMatchError, DataError), match=case.refused):
            case.predict(model, seed=seed, share_masks=share_masks)
    else:
        found = case.predict(model, seed=seed, share_masks=share_masks)
        found = found if isinstance(found, dict) else {"": found}
        assert any(bool((p.variance > 0).any()) for p in found.values())
    assert_same(before, snapshot(model))


SAMPLED = [case for case in CASES if case.refused is None]


@pytest.mark.parametrize("case", SAMPLED, ids=[case.name for case in SAMPLED])
def test_a_member_is_one_network_whatever_the_mode(case, seed):
    model = case.make().eval()
    found = {}
    for mode in ("loop", "vmap", "expand"):
        try:
            got = case.predict(model, seed=seed, mode=mode, keep_members=True)
        except ConfigError:  # a mode that the model does not allow is refused, never wrong
            continue
        found[mode] = got if isinstance(got, dict) else {"": got}
    assert "loop" in found
    assert case.name != "gcn" or "expand" not in found
    for got in found.values():
        for name, prediction in got.items():
            near(prediction, found["loop"][name], tolerance=1e-2 if case.name == "quantised" else 1e-5)


def near(first, second, rows=slice(None), tolerance=1e-5):
    torch.testing.assert_close(first.members, second.members[:, rows], rtol=10 * tolerance, atol=tolerance)


APART = [case for case in SAMPLED if not case.mixes]


@pytest.mark.parametrize("case", APART, ids=[case.name for case in APART])
def test_a_member_is_one_network_whatever_the_batch(case, seed):
    model = case.make().eval()
    examples = case.example if isinstance(case.example, dict) else dict(enumerate(case.example))
    options = {"seed": seed, "keep_members": True, "memory": 2**30}
    whole = case.predict(model, **options)
    for rows in ([2, 0, 1], [1]):
        part = {name: value[rows] for name, value in examples.items()}
        example = part if isinstance(case.example, dict) else tuple(part.values())
        some = dataclasses.replace(case, example=example).predict(model, **options)
        if isinstance(whole, dict):
            for name, prediction in some.items():
                near(prediction, whole[name], rows)
        else:
            near(some, whole, rows)


FEW = [case for case in CASES if case.name in ("functional", "encoder", "lstm")]


@pytest.mark.parametrize("case", FEW, ids=[case.name for case in FEW])
def test_a_thousand_cycles_leak_nothing(case):
    model = case.make()
    plan = dk.plan(model, case.rules, example_inputs=case.example)

    def cycle(model=model):
        with plan.apply(model):
            pass
        with dk.set_rate(model, 0.4):
            pass

    def count():
        gc.collect()
        return Counter(type(held).__name__ for held in gc.get_objects())

    for _ in range(3):
        cycle()
    state = snapshot(model)
    before = count()
    for _ in range(1000):
        cycle()
    grown = count() - before
    assert max(grown.values(), default=0) < 500, grown
    assert_same(state, snapshot(model))
    kept = weakref.ref(model)
    del model, state, cycle
    gc.collect()
    assert kept() is None


HUGGING_FACE = [case for case in CASES if NEEDED.get(case.name.split("-")[0]) == "transformers"]


@pytest.mark.parametrize("case", HUGGING_FACE, ids=[case.name for case in HUGGING_FACE])
def test_configurations_say_what_was_set_everywhere(case):
    model = case.make()

    def fields():
        return {k: v for k, v in model.config.to_dict().items() if "drop" in k and isinstance(v, float)}

    before = fields()
    with dk.set_rate(model, 0.35):
        assert set(fields().values()) == {0.35}
    assert fields() == before
    with dk.set_rate(model, 0.35, at=next(iter(case.sites))):
        assert fields() == before
