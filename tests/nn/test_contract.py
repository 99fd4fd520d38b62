"""What every entry of the catalogue keeps, whatever its law."""

import copy
import inspect
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import DtypeError, RateError

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
ENTRIES = [pytest.param(v, id=v.name) for v in dk.catalogue()]
every = pytest.mark.parametrize("entry", ENTRIES)


def made(entry, rate=0.5):
    module, x = entry.example()
    module.rate = rate
    return module, x


def run(module, x, seed, **key):
    with dk.random.stream(seed, **key):
        return module(x)


def test_every_module_of_the_room_is_registered():
    modules = {m for m in vars(dk.nn).values() if inspect.isclass(m) and issubclass(m, nn.Module)}
    assert modules == {v.module for v in dk.catalogue() if v.module is not None}
    assert {m.__name__ for m in modules} == set(dk.nn.__all__)


def test_every_op_of_the_room_is_registered():
    functions = {f for f in vars(dk.ops).values() if inspect.isfunction(f)}
    assert functions == {v.op for v in dk.catalogue() if v.op is not None}


@every
def test_the_entry_is_complete(entry):
    assert entry.op is not None
    assert entry.op.__name__ == entry.name
    assert entry.module is not None
    assert entry.module.__name__.lower() == entry.name.replace("_", "")
    assert entry.law
    assert "rate" in entry.law
    assert str(entry.year)[:2] in ("19", "20")
    assert any(mark in entry.paper for mark in ("arXiv", "JMLR", "CVPR"))
    assert entry.at
    assert 0 < entry.default_rate < 1
    for text in (entry.op.__doc__, entry.module.__doc__):
        assert text
    parameters = inspect.signature(entry.op).parameters
    assert list(parameters)[:2] == ["x", "rate"]
    for name in ("training", "generator", "site"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@every
def test_it_does_something_in_training_and_nothing_in_eval(entry, seed):
    module, x = made(entry)
    assert not torch.equal(run(module.train(), x, seed), x)
    before = torch.get_rng_state()
    assert module.eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_the_module_is_its_op(entry, seed):
    module, x = made(entry, 0.3)
    module.site = "here"
    got = run(module, x, seed)
    with dk.random.stream(seed):
        assert torch.equal(got, entry.op(x, 0.3, training=True, site="here"))


@every
def test_same_key_same_output_and_another_step_another(entry, seed):
    module, x = made(entry)
    first = run(module, x, seed)
    assert torch.equal(run(module, x, seed), first)
    for other in ({"step": 1}, {"rank": 1}, {"member": 1}):
        assert not torch.equal(run(module, x, seed, **other), first)


@every
def test_a_generator_alone_decides(entry, rng):
    _, x = entry.example()
    start, before = rng.get_state(), torch.get_rng_state()
    first = entry.op(x, 0.5, training=True, generator=rng)
    assert not torch.equal(entry.op(x, 0.5, training=True, generator=rng), first)
    rng.set_state(start)
    assert torch.equal(entry.op(x, 0.5, training=True, generator=rng), first)
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_without_a_stream_manual_seed_decides(entry, seed):
    module, x = made(entry)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = module(x)
        assert not torch.equal(module(x), first)
        torch.manual_seed(seed)
        assert torch.equal(module(x), first)


@every
def test_the_batch_may_come_in_chunks(entry, seed):
    module, x = made(entry)
    module.site = "a"
    whole = run(module, x, seed)
    assert torch.equal(run(module, x[2:], seed, sample=2), whole[2:])
    order = torch.arange(len(x)).flip(0)
    assert torch.equal(run(module, x[order], seed, sample=order), whole[order])


@every
@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_shape_and_layout_are_kept(entry, dtype, seed):
    module, x = made(entry)
    x = x.to(dtype)
    y = run(module, x, seed)
    assert y.dtype is dtype
    assert y.shape == x.shape
    strided = torch.stack((x, x), dim=-1)[..., 0]
    assert not strided.is_contiguous()
    assert torch.equal(run(module, strided, seed), y)


@every
def test_the_input_is_not_modified(entry, seed):
    module, x = made(entry)
    before = x.clone()
    run(module, x, seed)
    assert torch.equal(x, before)


@every
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan")])
def test_a_bad_rate_is_named_wherever_it_is_given(entry, rate, training):
    module, x = made(entry)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        entry.op(x, rate, training=training)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        module.rate = rate
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        entry.module(rate)
    assert module.rate == 0.5


@every
def test_rate_zero_is_the_identity(entry, seed):
    module, x = made(entry, 0.0)
    x = torch.full_like(x, float("nan"))
    assert run(module, x, seed) is x


@every
def test_a_small_rate_drops_a_subset_of_a_large_one(entry, seed):
    if entry.name == "gaussian_dropout":
        pytest.skip("drops nothing")
    _, x = entry.example()
    x = torch.full_like(x, float("inf"))  # kept elements stay infinite, dropped ones never are

    def kept(rate):
        return run(made(entry, rate)[0], x, seed).isinf()

    kinds = [kept(rate) for rate in (0.05, 0.3, 0.6, 0.95)]
    for less, more in itertools.pairwise(kinds):
        assert not (more & ~less).any()
    assert kinds[0].sum() > kinds[-1].sum()


@every
def test_dropped_elements_have_no_gradient_and_kept_ones_the_factor(entry, seed):
    module, x = made(entry, 0.4)
    x = x.double().requires_grad_()
    direction = torch.linspace(1, 2, x.numel(), dtype=torch.float64).view_as(x)
    (run(module, x, seed) * direction).sum().backward()
    step = 1e-6 * torch.ones_like(x)
    with torch.no_grad():
        slope = (run(module, x + step, seed) - run(module, x - step, seed)) / 2e-6
    torch.testing.assert_close(x.grad, slope * direction, rtol=1e-6, atol=1e-6)
    assert slope.std() > 0


@every
def test_second_derivatives_and_forward_mode(entry, seed):
    module, x = made(entry, 0.4)
    x = x.double().requires_grad_()

    def function(x):
        with dk.random.stream(seed):
            return module(x)

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@every
def test_an_empty_batch_is_fine(entry, seed):
    module, x = made(entry)
    assert run(module, x[:0], seed).shape == x[:0].shape


@every
def test_integers_are_refused(entry):
    module, x = made(entry)
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        module(x.long())


@every
@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_keep_everything_and_state_dicts_stay_empty(entry, again, seed):
    module, x = made(entry, 0.25)
    module.site = "a"
    twin = again(module)
    assert (twin.rate, twin.site) == (0.25, "a")
    assert torch.equal(run(twin, x, seed), run(module, x, seed))
    assert not module.state_dict()
    module.load_state_dict({})


@every
def test_it_prints_its_rate_and_site(entry):
    assert repr(entry.module(0.25)) == f"{entry.module.__name__}(rate=0.25)"
    assert repr(entry.module(0.25, site="a.b")) == f"{entry.module.__name__}(rate=0.25, site='a.b')"


@every
def test_compiled_code_draws_the_same(entry, seed):
    module, x = made(entry, 0.3)
    torch._dynamo.reset()
    fast = torch.compile(module, fullgraph=True, backend="aot_eager")
    for step in range(3):
        torch.testing.assert_close(
            run(fast, x, seed, step=step), run(module, x, seed, step=step), rtol=0, atol=0
        )
    torch._dynamo.reset()


@every
def test_vmap_over_members_equals_a_loop(entry, seed):
    module, x = made(entry)
    members = torch.tensor([0, 5, 2])
    stacked = torch.vmap(lambda member: run(module, x, seed, member=member))(members)
    for row, member in zip(stacked, members.tolist(), strict=True):
        assert torch.equal(row, run(module, x, seed, member=member))


@every
def test_vmap_without_a_stream_follows_its_randomness(entry):
    module, x = made(entry)
    batch = torch.stack([x] * 3)
    same = torch.vmap(module, randomness="same")(batch)
    assert torch.equal(same[0], same[1])
    different = torch.vmap(module, randomness="different")(batch)
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(module)(batch)


@every
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_recomputes_the_same_mask(entry, reentrant, seed):
    module, x = made(entry)

    def gradient(wrap):
        leaf = x.clone().requires_grad_()
        with dk.random.stream(seed):
            wrap(lambda v: module(v.sin()).sin(), leaf.cos()).sum().backward()
        return leaf.grad

    plain = gradient(lambda f, v: f(v))
    assert torch.equal(gradient(lambda f, v: checkpoint(f, v, use_reentrant=reentrant)), plain)


@every
def test_it_works_on_the_meta_device(entry):
    module, x = made(entry)
    assert module(x.to("meta")).shape == x.shape
