"""Settings that people train in: each tells whether a plan works there, by what comes out.

A setting returns None where the outputs, and gradients where there are any, are those of the plan on the bare model
under the same stream, and raises what the library raises where it refuses.
"""

import copy
import io

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk

EXACT = {"rtol": 0.0, "atol": 0.0}
ROUNDED = {"rtol": 1e-5, "atol": 1e-6}


def streamed(call, x):
    """Return the output of ``call`` under a stream, and the gradient of its sum for ``x``."""
    x = x.clone().requires_grad_()
    with dk.random.stream(7, rank=0):
        y = call(x)
        y.sum().backward()
    return y.detach(), x.grad


class Case:
    """A kind of attachment on a fresh model.

    ``expected`` is what the bare model gives with the plan, ``bare`` what it gives without.
    """

    def __init__(self, kind):
        torch.manual_seed(0)  # the same weights in every setting; no assertion hangs on them
        self.model, self.x, self.rules = kind.make(), kind.x(), kind.rules
        self.plan = dk.plan(self.model, self.rules, example_inputs=self.x)
        twin = copy.deepcopy(self.model)
        self.bare = streamed(twin, self.x)
        with self.plan.apply(twin):
            self.expected = streamed(twin, self.x)
        assert not torch.equal(self.expected[0], self.bare[0])

    def same(self, found, expected, tolerance=ROUNDED):
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, **tolerance)


def compiled_after(case):
    """Attach, then compile."""
    torch.compiler.reset()
    with case.plan.apply(case.model):
        case.same(streamed(torch.compile(case.model, backend="aot_eager"), case.x), case.expected)


def compiled_before(case):
    """Compile and call, then attach; then take it off again."""
    torch.compiler.reset()
    compiled = torch.compile(case.model, backend="aot_eager")
    case.same(streamed(compiled, case.x), case.bare)
    with case.plan.apply(compiled):
        case.same(streamed(compiled, case.x), case.expected)
    case.same(streamed(compiled, case.x), case.bare)


def ddp_before(case):
    """Attach, then wrap."""
    with case.plan.apply(case.model):
        case.same(streamed(nn.parallel.DistributedDataParallel(case.model), case.x), case.expected, EXACT)


def ddp_after(case):
    """Wrap, then attach."""
    wrapped = nn.parallel.DistributedDataParallel(case.model)
    with case.plan.apply(wrapped):
        case.same(streamed(wrapped, case.x), case.expected, EXACT)


def _sharded(model):
    from torch.distributed.fsdp import fully_shard

    mesh = dist.init_device_mesh("cpu", (1,))
    for child in model.children():
        if next(child.parameters(), None) is not None and not isinstance(child, nn.ModuleList):
            fully_shard(child, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def fsdp2_before(case):
    """Attach, then shard."""
    with case.plan.apply(case.model):
        case.same(streamed(_sharded(case.model), case.x), case.expected)


def fsdp2_after(case):
    """Shard, then attach."""
    sharded = _sharded(case.model)
    with case.plan.apply(sharded):
        case.same(streamed(sharded, case.x), case.expected)


def autocast(case):
    """Run under autocast to bfloat16: what is dropped is the same, the rest is rounded."""
    with case.plan.apply(case.model), torch.autocast("cpu", torch.bfloat16):
        found, _ = streamed(case.model, case.x)
    expected, bare = case.expected[0], case.bare[0]
    assert (found - expected).norm() < 0.2 * (bare - expected).norm()


def checkpointed(case):
    """Recompute the whole model in the backward pass."""
    with case.plan.apply(case.model):
        for reentrant in (False, True):
            found = streamed(lambda x: checkpoint(case.model, x, use_reentrant=reentrant), case.x)  # noqa: B023
            case.same(found, case.expected)


def exported(case):
    """Export in eval mode: nothing is dropped."""
    model = case.model.eval()
    plain = model(case.x)
    with case.plan.apply(model):
        program = torch.export.export(model, (case.x,))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    torch.testing.assert_close(torch.export.load(file).module()(case.x), plain, **ROUNDED)


def _adapted(model):
    import peft  # takes seconds

    linears = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    return peft.get_peft_model(model, peft.LoraConfig(target_modules=linears, lora_dropout=0.0))


def lora_before(case):
    """Attach, then add LoRA adapters, which begin at zero."""
    with case.plan.apply(case.model):
        case.same(streamed(_adapted(case.model), case.x), case.expected)


def lora_after(case):
    """Add LoRA adapters, then plan and attach."""
    adapted = _adapted(case.model)
    plan = dk.plan(adapted, [_below(rule) for rule in case.rules], example_inputs=case.x)
    before = streamed(adapted, case.x)
    with plan.apply(adapted):
        found = streamed(adapted, case.x)
    assert not torch.equal(found[0], before[0])
    case.same(streamed(adapted, case.x), before, EXACT)


def _below(rule):
    """The same rule for a model that is called ``base_model.model`` now."""
    if rule.at in ("input", "residual", "attention", "recurrent", "embedding"):
        return rule
    at = f"base_model.model{rule.at}" if str(rule.at).startswith(":") else f"base_model.model.{rule.at}"
    fields = {name: getattr(rule, name) for name in ("variant", "rate", "on", "options")}
    return dk.Rule(at=at, **fields)


SETTINGS = {
    "compiled after": compiled_after,
    "compiled before": compiled_before,
    "DDP after": ddp_before,
    "DDP before": ddp_after,
    "FSDP2 after": fsdp2_before,
    "FSDP2 before": fsdp2_after,
    "autocast": autocast,
    "checkpointing": checkpointed,
    "export (eval)": exported,
    "LoRA after": lora_before,
    "LoRA before": lora_after,
}
