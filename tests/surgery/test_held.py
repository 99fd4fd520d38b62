"""Variants that are modules: their parameters join the model while a plan is attached."""

import copy
import gc
import hashlib
import json
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

import dropkit as dk
from dropkit.core import PlanError
from dropkit.nn.learned.penalised import Penalised
from dropkit.random import stream
from dropkit.surgery import attached

from .models import MLP, Functional, assert_same, snapshot

LEARNED = {
    "concrete_dropout": (dk.nn.ConcreteDropout, {"rate_penalty": 0.1}, {}),
    "variational_dropout": (dk.nn.VariationalDropout, {}, {}),
    "learnable_bernoulli": (dk.nn.LearnableBernoulli, {"features": 8, "rate_penalty": 0.1}, {}),
    "information_dropout": (dk.nn.InformationDropout, {}, {"features": 8}),
    "contextual_dropout": (dk.nn.ContextualDropout, {}, {"features": 8}),
    "guided_dropout": (dk.nn.GuidedDropout, {}, {"features": 8}),
    "homeostatic_dropout": (dk.nn.HomeostaticDropout, {}, {"features": 8}),
    "lima_dropout": (dk.nn.LimaDropout, {"layer": 1, "layers": 2}, {}),
    "scheduled_drop_path": (dk.nn.ScheduledDropPath, {"steps": 3}, {}),
}
RATELESS = {"information_dropout"}
ONE = ("logit", "prior_mean", "log_prior_deviation")  # parameters that are one number


def rules(name, **more):
    rate = None if name in RATELESS else 0.4
    return [dk.Rule(at="net.1", variant=name, rate=rate, options=LEARNED[name][1], **more)]


class ByHand(nn.Module):
    def __init__(self, model, drop):
        super().__init__()
        self.net, self.drop = model.net, drop

    def forward(self, x):
        for number, layer in enumerate(self.net):
            x = layer(x)
            if number == 1:
                x = self.drop(x)
        return x


def trained(model, x, seed):
    found = []
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with stream(seed):
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            if any(isinstance(m, Penalised) for m in model.modules()):
                loss = loss + 1e-3 * dk.objectives.penalty(model)
            loss.backward()
            optimizer.step()
            dk.step()
            found.append(loss.item())
    return found


@pytest.mark.parametrize("name", LEARNED)
def test_training_with_a_plan_is_training_with_the_module_written_by_hand(name, seed, rng):
    module, options, sized = LEARNED[name]
    model, x = MLP(), torch.randn(16, 6, generator=rng)
    keys, parameters = list(model.state_dict()), [id(p) for p in model.parameters()]
    rate = {} if name in RATELESS else {"rate": 0.4}
    hand = ByHand(copy.deepcopy(model), module(**rate, **options, **sized, site="net.1"))
    made = dk.plan(model, rules(name), example_inputs=x)
    assert type(made).from_json(made.to_json()) == made
    applied = made.apply(model)
    (drop,) = [m for m in model.modules() if isinstance(m, module)]
    drop.load_state_dict(hand.drop.state_dict())
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in hand.parameters())
    new = [key for key in model.state_dict() if key not in keys]
    assert len(new) == len(hand.drop.state_dict())
    assert all(key.startswith("net.1.dropkit_net_1.") for key in new)
    if name in ("lima_dropout", "scheduled_drop_path"):
        first, second = with_no_penalty(model, x, seed), with_no_penalty(hand, x, seed)
    else:
        first, second = trained(model, x, seed), trained(hand, x, seed)
    assert first == second
    for key, value in hand.drop.state_dict().items():
        assert torch.equal(drop.state_dict()[key], value)
    model.eval(), hand.eval()
    assert torch.equal(model(x), hand(x))
    applied.revert()
    assert list(model.state_dict()) == keys
    assert [id(p) for p in model.parameters()] == parameters


def with_no_penalty(model, x, seed):
    found = []
    with stream(seed):
        for _ in range(4):
            found.append(model(x).square().mean().item())
            dk.step()
    return found


def test_apply_then_revert_leaves_no_trace_and_nothing_leaks(rng):
    model, x = MLP(), torch.randn(5, 6, generator=rng)
    before, y = snapshot(model), model(x)
    made, counts = dk.plan(model, [dk.Rule(at=["hidden", "input"], variant="concrete_dropout")]), []
    for _ in range(3):
        for _ in range(200):
            made.apply(model).revert()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 50
    assert_same(snapshot(model), before)
    assert torch.equal(model(x), y)


def test_a_container_that_calls_all_its_children_does_not_call_what_joined(seed, rng):
    model, x = nn.Sequential(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), nn.Linear(6, 3)), torch.ones(4, 6)
    made = dk.plan(model, [dk.Rule(at=["Sequential", "input"], variant="concrete_dropout", rate=0.5)])
    assert [site.id for site in made.sites] == [":output", "0", ":input"]
    with made.apply(model):
        assert len(model) == 2
        assert len(model[0]) == 2
        names = {name for name, _ in model.named_parameters()}
        assert {"0.1.dropkit_0.logit", "1.dropkit_output.logit", "1.dropkit_input.logit"} < names
        assert [s.id for s in dk.plan(model, [dk.Rule(at="*")]).sites] == ["0", "0.0", "0.1", "1"]
        model(x).sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_a_look_at_the_model_leaves_what_it_remembers(rng):
    model, x = MLP(), torch.randn(16, 6, generator=rng)
    rule = dk.Rule(at="net.1", variant="homeostatic_dropout", options={"features": 8})
    with dk.plan(model, [rule]).apply(model):
        model(x)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        dk.audit(model, x)
        dk.plan(model, [dk.Rule(at="net.3")], example_inputs=x)
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_function_calls_can_have_modules_too(seed, rng):
    model, x = Functional(), torch.randn(5, 6, generator=rng)
    made = dk.plan(model, [dk.Rule(at="hidden", variant="contextual_dropout")], example_inputs=x)
    assert {site.options["features"] for site in made.sites} == {6}
    with made.apply(model):
        model(x).sum().backward()
        new = [p for name, p in model.named_parameters() if "dropkit" in name]
        assert len(new) >= len(made.sites)
    assert not [name for name, _ in model.named_parameters() if "dropkit" in name]


def test_copies_pickles_and_files_carry_what_was_learned(seed, rng, tmp_path):
    model, x = MLP(), torch.randn(16, 6, generator=rng)
    plain = copy.deepcopy(model)
    dk.plan(model, rules("contextual_dropout"), example_inputs=x).apply(model)
    trained(model, x, seed)
    for p, q in zip(
        plain.parameters(), [p for n, p in model.named_parameters() if "dropkit" not in n], strict=True
    ):
        p.data.copy_(q)
    dk.save_plan(tmp_path / "plan.json", model)
    assert sorted(os.listdir(tmp_path)) == ["plan.json", "plan.safetensors"]
    dk.load_plan(tmp_path / "plan.json", plain)
    with stream(seed):
        y = model(x)
    for other in (plain, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with stream(seed):
            assert torch.equal(other(x), y)
        attached(other)[0].revert()
        assert not [name for name, _ in other.named_parameters() if "dropkit" in name]


def test_prediction_samples_what_was_learned(seed, rng):
    model, x = MLP().eval(), torch.randn(5, 6, generator=rng)
    with dk.plan(model, rules("concrete_dropout")).apply(model):
        y = model(x)
        assert dk.predict(model, x, members=4, seed=seed).variance.max() > 0
        assert torch.equal(model(x), y)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (
            {"variant": "contextual_dropout"},
            PlanError,
            "site 'net.1': .* pass example_inputs= to dropkit.plan, or",
        ),
        ({"variant": "lima_dropout"}, PlanError, "needs the option 'layer'; give options="),
        ({"variant": "concrete_dropout", "rate": 1.0}, PlanError, r"start inside \(0, 1\)"),
        ({"variant": "concrete_dropout", "rate": lambda step: 0.1}, PlanError, "keeps its rate itself"),
        ({"variant": "concrete_dropout", "options": {"layer": "x"}}, PlanError, "no option 'layer'"),
        ({"variant": "conditional"}, Exception, "no default rate|cannot be attached"),
    ],
)
def test_what_cannot_be_made_is_refused(given, error, text):
    with pytest.raises(error, match=text):
        dk.plan(MLP(), [dk.Rule(at="net.1", **given)])


def sharded(model):
    return torch.distributed.fsdp.fully_shard(model, mesh=torch.distributed.init_device_mesh("cpu", (1,)))


def test_parameters_that_would_come_too_late_are_refused(process_group):
    model = nn.parallel.DistributedDataParallel(MLP())
    made = dk.plan(model, rules("concrete_dropout"))
    with pytest.raises(PlanError, match=r"site 'net.1': .* apply the plan first, then wrap"):
        made.apply(model)
    assert not attached(model)
    with pytest.raises(PlanError, match="fully_shard has collected"):
        made.apply(sharded(MLP()))


@pytest.mark.filterwarnings("ignore")  # what torch has to say about itself
@pytest.mark.parametrize("name", LEARNED)
def test_sharded_training_is_training(name, process_group, seed):
    """Also where one number is learned: FSDP2 takes no parameter without an axis."""
    more = {"activation": "softplus"} if name == "information_dropout" else {}
    options = {**LEARNED[name][1], **more}
    rule = dk.Rule(at="net.1", variant=name, rate=None if name in RATELESS else 0.4, options=options)
    plain, x = MLP(), torch.linspace(-1, 1, 60).view(10, 6)
    made = dk.plan(plain, [rule], example_inputs=x)
    made.apply(plain)
    model = sharded(copy.deepcopy(plain))
    assert trained(model, x, seed) == pytest.approx(trained(plain, x, seed), rel=1e-5)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.full_tensor(), theirs)


@pytest.mark.parametrize("name", ["concrete_dropout", "contextual_dropout", "information_dropout"])
def test_numbers_that_were_saved_without_an_axis_are_loaded(name, tmp_path):
    options = {"features": 8} if name != "concrete_dropout" else {}
    options |= {"activation": "softplus"} if name == "information_dropout" else {}
    rule = dk.Rule(at="net.1", variant=name, options=options)
    model, other, third = MLP(), MLP(), MLP()
    made = dk.plan(model, [rule])
    made.apply(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    now = model.state_dict()
    before = {k: v.reshape(()) if k.endswith(ONE) else v for k, v in now.items()}
    assert any(v.ndim == 0 for v in before.values())
    made.apply(other)
    other.load_state_dict(before)
    dk.save_plan(tmp_path / "plan.json", model)
    file, body = tmp_path / "plan.safetensors", json.loads((tmp_path / "plan.json").read_text())
    saved = {k: v.reshape(()) if k.endswith(ONE) else v for k, v in load_file(file).items()}
    file.write_bytes(save(saved, metadata={"format": "dropkit-plan"}))
    body["tensors"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "plan.json").write_text(json.dumps(body))
    dk.load_plan(tmp_path / "plan.json", third)
    for key, value in now.items():
        assert torch.equal(other.state_dict()[key], value)
        assert torch.equal(third.state_dict()[key], value) or "dropkit" not in key


def test_making_a_rule_draws_no_random_number():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    dk.Rule(at="hidden", variant="contextual_dropout")
    assert torch.equal(torch.get_rng_state(), before)


def test_what_has_no_rate_acts_at_calls_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 8)

        def forward(self, x):
            return torch.relu(self.a(x))

    model, x = Net(), torch.linspace(-1, 1, 60).view(10, 6)
    plain = model(x)
    rule = dk.Rule(at="hidden", variant="information_dropout")
    with dk.plan(model, [rule], example_inputs=x).apply(model), dk.random.stream(1):
        assert not torch.equal(model(x), plain)
    assert torch.equal(model(x), plain)
