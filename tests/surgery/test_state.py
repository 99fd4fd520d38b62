"""Members begin in the state in which the model was given, whatever a forward leaves behind."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.surgery.state import Restarting, State


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.out = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)
        self.calls, self.last, self.past, self.known = 0, None, [], {}
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(8))


class Counting(Base):
    def forward(self, x):
        self.calls += 1
        return self.out(self.drop(self.fc(x))) * self.calls


class Summing(Base):
    """Writes to a buffer, and returns it."""

    def forward(self, x):
        self.total += self.out(self.drop(self.fc(x))).sum()
        return {"out": self.total.expand(len(x), 1), "x": self.drop(x)}


class Averaging(Base):
    def forward(self, x):
        hidden = self.fc(x)
        self.mean = 0.5 * self.mean + 0.5 * hidden[0]
        return self.out(self.drop(hidden) - self.mean)


class Recurring(Base):
    def forward(self, x):
        hidden = self.fc(x) if self.last is None else self.fc(x) + self.last
        self.last = self.drop(torch.tanh(hidden))
        return self.out(self.last)


class Listing(Base):
    def forward(self, x):
        self.past.append(self.drop(self.fc(x)))
        return self.out(torch.stack(self.past).mean(0))


class Caching(Base):
    """Would freeze the mask that it met first."""

    def forward(self, x):
        if not self.training and "mask" not in self.known:
            self.known["mask"] = self.drop(torch.ones(len(x), 8))
        mask = self.known["mask"] if "mask" in self.known else self.drop(torch.ones(len(x), 8))
        return self.out(self.fc(x) * mask)


X = torch.linspace(-1, 1, 24).view(4, 6)


def members(model, seed, **options):
    got = dk.predict(model, X, seed=seed, members=40, keep_members=True, **options)
    return (got["out"] if isinstance(got, dict) else got).members


@pytest.mark.parametrize("share_masks", [True, False])
@pytest.mark.parametrize("kind", [Summing, Averaging, Recurring, Listing, Caching])
def test_a_member_is_the_same_whatever_ran_before(kind, share_masks, rng):
    model, seed = kind().eval(), 3
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loop = members(model, seed, mode="loop", share_masks=share_masks)
    assert (loop.std(0) > 0).any()
    torch.testing.assert_close(members(model, seed, share_masks=share_masks), loop)
    for mode in ("vmap", "expand"):
        try:
            found = members(model, seed, mode=mode, share_masks=share_masks)
        except dk.ConfigError:
            assert kind is Summing
            continue
        torch.testing.assert_close(found, loop)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert (model.calls, model.last, model.past, model.known) == (0, None, [], {})


def test_tensors_that_came_went_or_changed_are_told_from_the_rest():
    model = Base()
    model.fixed, model.pair = torch.zeros(2), (torch.zeros(2), 1)
    state = State(list(model.modules()))
    for change, expected in (
        (lambda: None, False),
        (lambda: setattr(model, "calls", 1), False),
        (lambda: model.past.append(1), False),
        (lambda: delattr(model, "known"), False),
        (lambda: model.past.append(torch.ones(1)), True),
        (lambda: model.known.update(a=[torch.ones(1)]), True),
        (lambda: model.mean.add_(1), True),
        (lambda: model.mean.data.add_(1), True),
        (lambda: model.pair[0].add_(1), True),
        (lambda: setattr(model, "mean", model.mean + 0), True),
        (lambda: setattr(model, "last", (torch.ones(1),)), True),
        (lambda: delattr(model, "fixed"), True),
    ):
        change()
        assert state.changes_tensors() == expected
        state.put_back()
        assert not state.changes_tensors()
    assert (model.calls, model.last, model.past, model.known) == (0, None, [], {})
    assert not model.mean.any()
    assert not model.pair[0].any()


def test_counting_goes_on_where_it_is_all_that_changes():
    model, seen = Counting(), []
    model.fc.register_forward_hook(lambda *_: seen.append(model.calls))
    Restarting(model, list(model.modules()))
    model(X)
    model(X)
    assert seen == [1, 2]
    model = Averaging()
    Restarting(model, list(model.modules()))
    for _ in range(3):
        model.calls += 1  # where a tensor changes, all is put back
        model(X)
    assert model.calls == 0


def test_hooks_are_gone_where_nothing_changes():
    model = nn.Linear(6, 2)
    Restarting(model, list(model.modules()))
    assert model._forward_hooks
    model(X)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_lazy_modules_are_lazy_again():
    def lazy():
        return nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.5), nn.Linear(8, 3))

    x = torch.ones(4, 6)
    run = lazy()
    run(x)
    loaded = lazy()
    loaded.load_state_dict(run.state_dict())  # has its weights, and its hook for the first forward
    expected = dk.predict(run, x, members=3, seed=1).mean
    torch.testing.assert_close(dk.predict(loaded, x, members=3, seed=1).mean, expected)
    assert type(loaded[0]) is nn.LazyLinear
    assert type(run[0]) is nn.Linear
