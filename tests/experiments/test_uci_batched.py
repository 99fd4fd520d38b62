"""experiments/uci_mc_dropout: many networks in one program are the networks that each would be alone."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import dropkit as dk

FILE = Path(__file__).parents[2] / "experiments" / "uci_mc_dropout" / "batched.py"
RATES, NUMBERS = [0.05, 0.05, 0.3, 0.5, 0.5], [7, 2, 30, 11, 0]
ROWS, FEATURES, HIDDEN, BATCH = 21, 4, 9, 8


@pytest.fixture(scope="module")
def batched():
    found = importlib.util.spec_from_file_location("uci_batched", FILE)
    module = importlib.util.module_from_spec(found)
    sys.modules["uci_batched"] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture
def stack(batched, seed):
    return batched.Stack(RATES, NUMBERS, FEATURES, HIDDEN, seed=seed).double()


@pytest.fixture
def data(rng):
    x = torch.randn(2, ROWS, FEATURES, generator=rng, dtype=torch.float64)
    return x, torch.randn(2, ROWS, generator=rng, dtype=torch.float64)


def test_a_networks_masks_are_those_it_would_have_alone(batched, stack, seed):
    x = torch.ones(len(RATES), BATCH, FEATURES, dtype=torch.float64)
    with torch.no_grad():
        stack.first.fill_(1.0)
        stack.last.fill_(1.0)
    outputs = stack(x, step=3)
    for m, number in enumerate(NUMBERS):
        drawn = [
            dk.random.mask((BATCH, size), RATES[m], seed=seed, step=3, member=number, site=site)
            for size, site in ((FEATURES, "input"), (HIDDEN, "hidden"))
        ]
        kept_in, kept_hidden = (torch.from_numpy(mask).double().sum(1) / (1 - RATES[m]) for mask in drawn)
        torch.testing.assert_close(outputs[m], kept_in * kept_hidden, rtol=1e-6, atol=0)


def test_training_together_is_training_one_by_one(batched, stack, data, seed):
    x, y = data
    of = torch.tensor([0, 1, 1, 0, 1])
    decay = torch.linspace(0.01, 0.05, len(RATES), dtype=torch.float64)
    batches = batched.Batches(x, y, [4, 9], of, BATCH, seed=seed)
    together = batched.Training(stack, decay, lr=0.01)
    singles = [batched.Single(stack, m, decay[m], lr=0.01) for m in range(len(RATES))]
    before = stack.first.detach().clone()
    for _ in range(3):
        for batch_x, batch_y in batches.epoch():
            together.step(batch_x, batch_y)
            for single in singles:
                single.step(batch_x[single.m], batch_y[single.m])
    assert together.steps == 9
    assert not torch.isclose(before, stack.first).all(dim=(1, 2)).any()
    for m, single in enumerate(singles):
        for ours, theirs in zip(batched.alone(stack, m).parameters(), single.model.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_a_network_is_the_same_in_any_company(batched, stack, data, seed):
    fewer = batched.Stack([RATES[3]], [NUMBERS[3]], FEATURES, HIDDEN, seed=seed).double()
    assert torch.equal(stack.first[3], fewer.first[0])
    assert not torch.equal(stack.first[3], stack.first[4])
    pair = batched.Batches(*data, [4, 9], torch.tensor([0, 1]), BATCH, seed=seed).epoch()
    second = batched.Batches(data[0][1:], data[1][1:], [9], torch.tensor([0]), BATCH, seed=seed).epoch()
    for (x, y), (alone_x, alone_y) in zip(pair, second, strict=True):
        assert torch.equal(x[1], alone_x[0])
        assert torch.equal(y[1], alone_y[0])


def test_an_epoch_has_every_row_once(batched, data, seed):
    x, y = data
    batches = batched.Batches(x, y, [0, 1], torch.tensor([1, 0, 1]), BATCH, seed=seed)
    for epoch in (batches.epoch(), batches.epoch()):
        assert [len(rows[0]) for _, rows in epoch] == [8, 8, 5]
        seen = torch.cat([rows for _, rows in epoch], dim=1)
        assert torch.equal(seen.sort(dim=1).values, y[[1, 0, 1]].sort(dim=1).values)


def test_each_split_and_epoch_has_an_order_of_its_own(batched, data, seed):
    rows = torch.arange(float(ROWS)).expand(2, -1)  # 21! orders: no two are equal by chance
    batches = batched.Batches(data[0], rows, [4, 9], torch.tensor([0, 1, 1]), BATCH, seed=seed)
    first, second = (torch.cat([y for _, y in batches.epoch()], dim=1) for _ in range(2))
    assert torch.equal(first[1], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


def test_the_evaluation_agrees_with_predict(batched, stack, data, seed):
    x, y = data[0][[0, 1, 1, 0, 1]], data[1][[0, 1, 1, 0, 1]]
    precision = torch.tensor(
        [0.1, 0.2, 0.3, 0.1, 0.2], dtype=torch.float64
    )  # low: their means have light tails
    members = 4000
    mean, likelihood = batched.evaluate(stack, x, y, precision, members)
    for m in range(len(RATES)):
        prediction = dk.predict(
            batched.alone(stack, m).eval(),
            x[m],
            members=members,
            seed=seed + 1,
            share_masks=False,
            task="regression",
            keep_members=True,
        )
        error = prediction.standard_error[:, 0]
        assert bool(((mean[m] - prediction.mean[:, 0]).abs() <= 6.5 * 2**0.5 * error).all())
        p = (-0.5 * precision[m] * (prediction.members[..., 0] - y[m]) ** 2).exp()
        spread = p.std(dim=0) / p.mean(dim=0) / members**0.5  # of the logarithm's Monte-Carlo error
        expected = prediction.log_likelihood(y[m, :, None], noise=1.0 / float(precision[m]))
        assert bool(((likelihood[m] - expected).abs() <= 7.0 * 2**0.5 * spread).all())


def test_passes_do_not_depend_on_how_many_are_held(batched, stack, data, monkeypatch):
    x, y = data[0][[0, 1, 1, 0, 1]], data[1][[0, 1, 1, 0, 1]]
    precision = torch.ones(5, dtype=torch.float64)
    monkeypatch.setattr(batched, "HELD", 5 * ROWS * HIDDEN * 3)  # three passes at once, the last of one
    mean, likelihood = batched.evaluate(stack, x, y, precision, 7)
    by_hand = []
    for step, passes in enumerate((3, 3, 1)):
        with torch.inference_mode():
            by_hand.append(stack(x.repeat(1, passes, 1), 2**32 + step).view(5, passes, ROWS))
    outputs = torch.cat(by_hand, dim=1)
    torch.testing.assert_close(mean, outputs.mean(dim=1))
    log_p = torch.distributions.Normal(outputs, 1.0).log_prob(y[:, None])
    expected = log_p.logsumexp(dim=1) - torch.tensor(7.0, dtype=torch.float64).log()
    torch.testing.assert_close(likelihood, expected)
