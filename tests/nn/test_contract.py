"""What every entry of the catalogue keeps, whatever its law; exceptions stand in contract.py, with reasons."""

import copy
import inspect
import itertools
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import DtypeError, RateError
from dropkit.ops import kernels
from dropkit.random import Schedule
from tests.nn.contract import (
    Recurring,
    assert_close,
    call,
    entries,
    floats,
    has_rate,
    hoeffding,
    is_plain,
    leaves_requiring_gradients,
    made,
    map_floats,
    options,
    promised,
    run,
    same,
)

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
FAMILIES = {
    "unit noise",
    "spatial",
    "weights",
    "depth and paths",
    "recurrent",
    "attention and tokens",
    "learned",
    "conditional",
    "schedules",
    "biologically inspired",
    "multi-task",
    "ensembles",
    "objectives",
    "graphs",
}
PLACES = {"input", "hidden", "conv", "fc", "attention", "residual", "embedding", "recurrent", "weights"}
NOT_VARIANTS = {  # what a variant is used in, or made of
    dk.ops.attention,
    dk.ops.fast_dropout_moments,
    *(getattr(dk.ops.fused, name) for name in dk.ops.fused.__all__),
}

every = pytest.mark.parametrize("entry", entries())
every_with_rate = pytest.mark.parametrize("entry", [p for p in entries() if has_rate(p.values[0])])
every_plain = pytest.mark.parametrize("entry", [p for p in entries() if is_plain(p.values[0])])


def promised_with_rate(promise):
    mark = promised(promise)
    return pytest.mark.parametrize("entry", [p for p in mark.args[1] if has_rate(p.values[0])])


def test_every_module_of_the_room_is_registered():
    modules = {m for m in vars(dk.nn).values() if inspect.isclass(m) and issubclass(m, nn.Module)}
    assert modules <= {v.module for v in dk.catalogue()}
    assert {m.__name__ for m in modules} <= set(dk.nn.__all__)


def test_every_op_of_the_room_is_registered():
    functions = {f for f in vars(dk.ops).values() if inspect.isfunction(f)} - NOT_VARIANTS
    assert functions == {v.op for v in dk.catalogue() if v.op is not None and v.kind != "objective"}


@every
def test_the_entry_is_complete(entry):
    assert entry.op is not None or entry.module is not None or entry.kind == "schedule"
    assert entry.family in FAMILIES
    assert entry.law
    assert entry.default_rate is None or "rate" in entry.law
    assert entry.default_rate is None or 0 <= entry.default_rate < 1
    assert str(entry.year)[:2] in ("19", "20")
    assert any(
        mark in entry.paper for mark in ("arXiv:", "doi:", "JMLR", "CVPR", "ICML", "AAAI", "ICLR", "NeurIPS")
    )
    assert str(entry.year) in entry.paper
    assert set(entry.at) <= PLACES
    assert entry.at or entry.kind != "op" or entry.family == "graphs"
    for value in (entry.op, entry.module):
        assert value is None or value.__doc__
    if entry.op is not None:
        assert entry.op.__name__ == entry.name
    if is_plain(entry):
        parameters = inspect.signature(entry.op).parameters
        assert next(iter(parameters)) == "x"
        for name in ("training", "generator", "site"):
            assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert entry.module.__name__.lower() == entry.name.replace("_", "")


@promised("random")
def test_it_does_something_in_training_and_depends_on_the_key(entry, seed):
    module, inputs = made(entry)
    before = torch.get_rng_state()
    first = run(copy.deepcopy(module), inputs, seed)
    assert floats(first)
    assert all(leaf.isfinite().all() for leaf in floats(first))
    assert same(run(copy.deepcopy(module), inputs, seed), first)
    for key in ("step", "rank", "member"):
        others = [run(copy.deepcopy(module), inputs, seed, **{key: value}) for value in range(1, 31)]
        assert not all(same(other, first) for other in others), key
    assert torch.equal(torch.get_rng_state(), before)


@promised("eval")
def test_eval_returns_the_input_itself(entry):
    module, inputs = made(entry)
    before = torch.get_rng_state()
    output = call(module.eval(), inputs)
    assert output is (inputs if isinstance(inputs, Tensor) else inputs[0])
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_eval_draws_nothing(entry, seed):
    module, inputs = made(entry)
    module.eval()
    before = torch.get_rng_state()
    first = call(module, inputs)
    assert same(call(module, inputs), first)
    assert same(run(module, inputs, seed), first)
    assert torch.equal(torch.get_rng_state(), before)


@every_plain
def test_the_module_is_its_op_and_rate_zero_the_input_itself(entry, seed):
    if not has_rate(entry):
        pytest.skip("it has no rate")
    module, x = made(entry, 0.3)
    module.site = "here"
    with dk.random.stream(seed):
        expected = entry.op(x, 0.3, training=True, site="here", **options(entry, module))
    assert same(run(module, x, seed), expected)
    x = torch.full_like(x, float("nan"))
    assert entry.op(x, 0.0, training=True) is x
    assert entry.op(x, 0.3, training=False) is x


@promised("no stream")
def test_without_a_stream_manual_seed_decides(entry, seed):
    module, inputs = made(entry)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        outputs = [call(copy.deepcopy(module), inputs) for _ in range(30)]
        assert not all(same(output, outputs[0]) for output in outputs)
        torch.manual_seed(seed)
        assert same(call(copy.deepcopy(module), inputs), outputs[0])


@promised("chunks")
def test_the_batch_may_come_in_chunks(entry, seed):
    module, inputs = made(entry)
    module.site = "a"
    whole = run(module, inputs, seed)
    assert isinstance(inputs, Tensor)
    tolerance = (
        {"rtol": 0.0, "atol": 0.0} if is_plain(entry) else {}
    )  # a layer sums otherwise in another batch
    assert_close(run(module, inputs[2:], seed, sample=2), whole[2:], **tolerance)
    order = torch.arange(len(inputs)).flip(0)
    assert_close(run(module, inputs[order], seed, sample=order), whole[order], **tolerance)


@promised("dtypes")
@pytest.mark.parametrize("dtype", FLOATS)
def test_dtypes_are_kept(entry, dtype, seed):
    module, inputs = made(entry)
    module.to(dtype)
    outputs = floats(run(module, map_floats(lambda x: x.to(dtype), inputs), seed))
    assert {leaf.dtype for leaf in outputs} == {dtype}


@promised("strides")
def test_any_layout_gives_the_same(entry, seed):
    module, inputs = made(entry)
    expected = run(copy.deepcopy(module), inputs, seed)
    strided = map_floats(lambda x: torch.stack((x, x), dim=-1)[..., 0], inputs)
    assert_close(run(module, strided, seed), expected)


@every
def test_the_input_is_not_modified(entry, seed):
    module, inputs = made(entry)
    before = copy.deepcopy(inputs)
    run(module, inputs, seed)
    assert same(inputs, before)


@every_with_rate
@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan"), True, "half"])
def test_a_bad_rate_is_refused_and_the_old_one_kept(entry, rate):
    module, _ = made(entry, 0.25)
    with pytest.raises(RateError, match=r"rate must be (in|a number in) \[0, 1\], got"):
        module.rate = rate
    assert module.rate == 0.25


@every_plain
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan")])
def test_a_bad_rate_is_named_wherever_it_is_given(entry, rate, training):
    if not has_rate(entry):
        pytest.skip("it has no rate")
    _, x = made(entry)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        entry.op(x, rate, training=training)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        entry.module(rate)


@promised_with_rate("rate zero")
def test_rate_zero_is_eval(entry, seed):
    module, inputs = made(entry, 0.0)
    assert_close(run(copy.deepcopy(module), inputs, seed), call(module.eval(), inputs))


@promised_with_rate("rate one")
def test_rate_one_is_finite(entry, seed):
    module, inputs = made(entry, 1.0)
    inputs, leaves = leaves_requiring_gradients(inputs)
    outputs = floats(run(module, inputs, seed))
    assert all(leaf.isfinite().all() for leaf in outputs)
    sum(leaf.sum() for leaf in outputs).backward()
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves)


@promised_with_rate("share")
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_share_dropped_is_the_rate_asked_for(entry, rate, seed):
    module, x = made(entry, rate)
    rows = 20_000
    big = torch.ones(rows, *x.shape[1:])
    shares = (run(module, big, seed) == 0).flatten(1).double().mean(1)
    assert abs(shares.mean().item() - rate) < hoeffding(rows)


@promised_with_rate("subset")
def test_a_small_rate_drops_a_subset_of_a_large_one(entry, seed):
    _, x = entry.example()
    x = torch.full_like(x, float("inf"))  # kept elements stay infinite, dropped ones never are

    def kept(rate):
        return run(made(entry, rate)[0], x, seed).isinf()

    kinds = [kept(rate) for rate in (0.05, 0.3, 0.6, 0.95)]
    for less, more in itertools.pairwise(kinds):
        assert not (more & ~less).any()
    assert kinds[0].sum() > kinds[-1].sum()


@promised_with_rate("tensor rates")
def test_a_tensor_as_rate_means_its_value(entry, seed):
    module, inputs = made(entry, 0.25)
    expected = run(copy.deepcopy(module), inputs, seed)
    module.rate = torch.tensor(0.25)
    assert_close(run(copy.deepcopy(module), inputs, seed), expected)
    module.rate = nn.Parameter(torch.tensor(0.25))
    assert_close(run(copy.deepcopy(module), inputs, seed), expected)


class Ramp(Schedule):
    def at(self, step):
        return step / 8

    def __repr__(self):
        return "Ramp()"


@promised_with_rate("tensor rates")
def test_a_schedule_as_rate_means_its_value_now(entry, seed):
    module, inputs = made(entry, 0.25)
    expected = run(copy.deepcopy(module), inputs, seed, step=2)
    module.rate = Ramp()
    assert "Ramp()" in repr(module)
    assert_close(run(copy.deepcopy(module), inputs, seed, step=2), expected)


@promised_with_rate("eval without a step")
def test_eval_needs_no_stream_to_say_which_step_it_is(entry):
    module, inputs = made(entry)
    module.rate = Ramp()
    call(module.eval(), inputs)


@promised("gradients")
def test_gradients_are_those_of_the_same_mask(entry, seed):
    module, inputs = made(entry, 0.4)
    module.double()
    inputs, leaves = leaves_requiring_gradients(map_floats(lambda x: x.double(), inputs))

    def loss(*values):
        position = iter(values)
        fed = map_floats(lambda _: next(position), inputs)
        return sum(
            (leaf * torch.linspace(1, 2, leaf.numel(), dtype=leaf.dtype).view_as(leaf)).sum()
            for leaf in floats(run(copy.deepcopy(module), fed, seed))
        )

    assert leaves
    assert torch.autograd.gradcheck(loss, tuple(leaves), eps=1e-6, atol=1e-5)


@every_plain
def test_second_derivatives_and_forward_mode(entry, seed):
    module, x = made(entry, 0.4)
    x = x.double().requires_grad_()

    def function(x):
        with dk.random.stream(seed):
            return module(x)

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@promised("empty")
def test_an_empty_batch_is_fine(entry, seed):
    module, x = made(entry)
    assert run(module, x[:0], seed).shape == x[:0].shape


@every_plain
def test_integers_are_refused(entry):
    module, x = made(entry)
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        module(x.long())


@every
@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_state_dicts_keep_everything(entry, again, seed):
    module, inputs = made(entry, 0.25)
    twin = again(module)
    other = made(entry, 0.25)[0]
    other.load_state_dict(module.state_dict())
    expected = run(module, inputs, seed)
    assert same(run(twin, inputs, seed), expected)
    assert same(run(other, inputs, seed), expected)
    if has_rate(entry):
        assert twin.rate == 0.25


@every_with_rate
def test_it_prints_its_rate(entry):
    module, _ = made(entry, 0.25)
    assert "rate=0.25" in repr(module)


@promised("compile")
def test_compiled_code_draws_the_same(entry, seed):
    module, inputs = made(entry, 0.3)
    torch._dynamo.reset()
    slow, fast = copy.deepcopy(module), torch.compile(module, fullgraph=True, backend="aot_eager")
    for step in range(3):
        assert_close(run(fast, inputs, seed, step=step), run(slow, inputs, seed, step=step))
    torch._dynamo.reset()


@promised("vmap")
def test_vmap_over_members_equals_a_loop(entry, seed):
    module, inputs = made(entry)
    members = torch.tensor([0, 5, 2])
    stacked = torch.vmap(lambda member: floats(run(module, inputs, seed, member=member)))(members)
    for i, member in enumerate(members.tolist()):
        assert_close([leaf[i] for leaf in stacked], floats(run(module, inputs, seed, member=member)))


@every_plain
def test_vmap_without_a_stream_follows_its_randomness(entry):
    module, x = made(entry)
    batch = torch.stack([x] * 3)
    same_masks = torch.vmap(module, randomness="same")(batch)
    assert torch.equal(same_masks[0], same_masks[1])
    different = torch.vmap(module, randomness="different")(batch)
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(module)(batch)


@promised("checkpoint")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_recomputes_the_same_mask(entry, reentrant, seed):
    module, inputs = made(entry)
    assert not isinstance(inputs, dict)

    def gradients(wrap):
        fed, leaves = leaves_requiring_gradients(inputs if isinstance(inputs, tuple) else (inputs,))
        with dk.random.stream(seed):
            loss = wrap(Recurring(copy.deepcopy(module)), *fed)
            loss.backward()
        return [leaf.grad for leaf in leaves]

    plain = gradients(lambda f, *v: f(*v))
    assert any(gradient is not None for gradient in plain)
    again = gradients(lambda f, *v: checkpoint(f, *v, use_reentrant=reentrant))
    for a, b in zip(again, plain, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@every
def test_native_kernels_and_reference_agree(entry, seed):
    module, inputs = made(entry, 0.3)
    native = run(copy.deepcopy(module), inputs, seed)
    before = kernels.status().active
    kernels.use("reference")
    try:
        reference = run(copy.deepcopy(module), inputs, seed)
    finally:
        kernels.use(before)
    assert_close(native, reference)


@every_plain
def test_a_generator_alone_decides(entry, rng):
    if not has_rate(entry):
        pytest.skip("it has no rate")
    _, x = entry.example()
    start, before = rng.get_state(), torch.get_rng_state()
    first = entry.op(x, 0.5, training=True, generator=rng)
    assert not all(same(entry.op(x, 0.5, training=True, generator=rng), first) for _ in range(30))
    rng.set_state(start)
    assert same(entry.op(x, 0.5, training=True, generator=rng), first)
    assert torch.equal(torch.get_rng_state(), before)


@promised("meta")
def test_it_works_on_the_meta_device(entry):
    module, x = made(entry)
    assert module.to("meta")(x.to("meta")).shape == x.shape
