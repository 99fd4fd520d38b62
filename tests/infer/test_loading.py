"""What a forward gets of a DataLoader's batches, and what the loader leaves as it was."""

import random
import threading
from collections import UserDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import dropkit as dk
from dropkit.core import DataError
from dropkit.infer.plain import plain_pass

FORKS = pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # of Python 3.12 and later, about threads
Pair = namedtuple("Pair", "a, b")


class Net(nn.Module):
    """Sees a token and a mask."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, tokens, mask=None, labels=None):
        assert labels is None, "targets are no inputs"
        return self.body(tokens if mask is None else tokens * mask)


class Both(Net):
    def forward(self, a, b):
        return self.body(a - b)


class Scaled(Net):
    def forward(self, a, scale):
        return self.body(a * scale)


class ByName(Net):
    def forward(self, tokens, *, mask):
        return self.body(tokens * mask)


class Whole(Net):
    def forward(self, batch):
        return self.body(batch["tokens"] * batch["mask"])


class Anything(Net):
    def forward(self, *args, **kwargs):
        assert not args or not kwargs
        return super().forward(*args, **kwargs)


class Rows(Dataset):
    def __init__(self, make, count=7):
        self.make, self.count = make, count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return self.make(i)


class Noisy(Rows):
    """Draws in the worker, from torch's generator there."""

    def __getitem__(self, i):
        return torch.rand(4)


@pytest.fixture
def x(rng):
    return torch.randn(7, 4, generator=rng)


@pytest.fixture
def mask(x):
    return (x > 0).float()


def asked(model, inputs, seed, **options):
    return dk.predict(model, *inputs, members=4, seed=seed, keep_members=True, **options).members


def every_way(model, inputs, seed, **named):
    return [
        asked(model, inputs, seed, **named),
        dk.ensemble([model, model]).predict(*inputs, members=2, seed=seed, **named).mean,
        plain_pass(model, *inputs, **named),
    ]


def test_a_mapping_goes_by_name_without_targets(x, mask, seed):
    rows = Rows(lambda i: {"tokens": x[i], "mask": mask[i], "labels": 1, "idx": i})
    for model in (Net(), ByName(), torch.compile(Net())):
        got = asked(model, [DataLoader(rows, batch_size=3)], seed)
        torch.testing.assert_close(got, asked(model, [x], seed, mask=mask))
    assert not torch.equal(got, asked(model, [x], seed))


@pytest.mark.parametrize("kind", [dict, UserDict])
def test_a_mapping_as_the_only_input_goes_by_name_too(kind, x, mask, seed):
    batch = kind(tokens=x, mask=mask, labels=torch.ones(len(x)))
    for model in (Net(), ByName()):
        for got, want in zip(
            every_way(model, [batch], seed), every_way(model, [x], seed, mask=mask), strict=True
        ):
            torch.testing.assert_close(got, want)


def test_a_mapping_that_the_forward_takes_is_left_alone(x, mask, seed):
    model, whole = Net(), Whole()
    whole.load_state_dict(model.state_dict())
    got = asked(whole, [{"tokens": x, "mask": mask}], seed)
    torch.testing.assert_close(got, asked(model, [x], seed, mask=mask))


def test_a_mapping_beside_its_targets_and_one_that_the_forward_takes_whole(x, mask, seed):
    rows = Rows(lambda i: ({"tokens": x[i], "mask": mask[i]}, 1))
    model = Net()
    whole = Whole()
    whole.load_state_dict(model.state_dict())
    want = asked(model, [x], seed, mask=mask)
    torch.testing.assert_close(asked(model, [DataLoader(rows, batch_size=3)], seed), want)
    torch.testing.assert_close(asked(whole, [DataLoader(rows, batch_size=3)], seed), want)


def test_a_forward_of_anything_gets_all_but_targets(x, mask, seed):
    model = Anything()
    want = asked(model, [], seed, tokens=x, mask=mask)
    rows = Rows(lambda i: {"tokens": x[i], "mask": mask[i], "label_ids": 1})
    torch.testing.assert_close(asked(model, [DataLoader(rows, batch_size=2)], seed), want)
    rows = TensorDataset(x, torch.arange(7))
    torch.testing.assert_close(asked(model, [DataLoader(rows, batch_size=2)], seed), asked(model, [x], seed))


def test_what_is_given_by_name_wins(x, mask, seed):
    model = ByName()
    rows = Rows(lambda i: {"tokens": x[i], "mask": mask[i]})
    got = asked(model, [DataLoader(rows, batch_size=7)], seed, mask=1 - mask)
    torch.testing.assert_close(got, asked(model, [x], seed, mask=1 - mask))
    bare = DataLoader(TensorDataset(x, torch.arange(7)), batch_size=7)
    torch.testing.assert_close(asked(model, [bare], seed, mask=mask), asked(model, [x], seed, mask=mask))


def test_as_many_items_of_a_tuple_as_the_forward_needs(x, mask, seed):
    model, labels = Both(), torch.arange(7)
    want = asked(model, [x, mask], seed)
    for rows in (
        TensorDataset(x, mask),
        TensorDataset(x, mask, labels),
        Rows(lambda i: ((x[i], mask[i]), 1)),
        Rows(lambda i: [[x[i], mask[i]]]),
        Rows(lambda i: Pair(x[i], mask[i])),
    ):
        torch.testing.assert_close(asked(model, [DataLoader(rows, batch_size=3)], seed), want)
    one = DataLoader(TensorDataset(x, labels), batch_size=3)
    torch.testing.assert_close(asked(Scaled(), [one], seed, scale=2.0).shape, want.shape)


def test_all_that_predicts_takes_the_same(x, mask, seed):
    rows = Rows(lambda i: {"tokens": x[i], "mask": mask[i], "labels": 1})
    pairs = TensorDataset(x, mask, mask)
    for model, loader, inputs, named in (
        (Net(), DataLoader(rows, batch_size=3), [x], {"mask": mask}),
        (Both(), DataLoader(pairs, batch_size=3), [x, mask], {}),
    ):
        for got, want in zip(
            every_way(model, [loader], seed), every_way(model, inputs, seed, **named), strict=True
        ):
            torch.testing.assert_close(got, want)


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize("share", [True, False])
def test_a_last_batch_of_one(mode, share, x, seed):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))
    for size in (3, 6, 1):
        got = asked(model, [DataLoader(x, batch_size=size)], seed, mode=mode, share_masks=share)
        torch.testing.assert_close(got, asked(model, [x], seed, mode="loop", share_masks=share))


@pytest.mark.parametrize(
    ("model", "rows", "text"),
    [
        (Both(), [torch.ones(4)], r"needs a, b, and a batch of the DataLoader has 1 item;"),
        (Both(), [{"a": torch.ones(4)}], "needs b, and a batch of the DataLoader has a;"),
        (Both(), [{"inputs": torch.ones(4), "masks": 1}], "needs a, b, .* has inputs, masks;"),
        (Anything(), [{"labels": 1}], "no tensor among the inputs, got nothing"),
        (Net(), [()], "is empty"),
    ],
)
def test_what_a_batch_does_not_hold(model, rows, text, seed):
    with pytest.raises(DataError, match=text):
        dk.predict(model, DataLoader(rows, batch_size=1), seed=seed)


def test_what_is_no_tensor_and_no_loader_is_named(x, seed):
    rows = TensorDataset(x)
    for inputs, got in (
        ([rows], "TensorDataset"),
        ([x.numpy()], "ndarray"),
        ([DataLoader(x)] * 2, "DataLoader"),
    ):
        with pytest.raises(DataError, match=f"no tensor among the inputs, got {got}; give tensors, or one"):
            dk.predict(Net(), *inputs, seed=seed)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"shuffle": True},
        lambda x: {"sampler": RandomSampler(x, generator=torch.Generator())},
        lambda x: {"sampler": SubsetRandomSampler([1, 2])},
        lambda x: {"sampler": WeightedRandomSampler(torch.ones(7), 3)},
        lambda x: {"sampler": DistributedSampler(x, num_replicas=1, rank=0)},
        lambda x: {"batch_sampler": BatchSampler(RandomSampler(x), 2, False)},
    ],
)
def test_random_order_is_refused(make, x, seed):
    loader = DataLoader(x, **make(x))
    for ask in (
        lambda: dk.predict(Net(), loader, seed=seed),
        lambda: dk.ensemble([Net(), Net()]).predict(loader),
        lambda: plain_pass(Net(), loader),
    ):
        with pytest.raises(DataError, match=r"in random order .* give one with shuffle=False"):
            ask()


def test_an_order_that_is_fixed_is_kept(x, seed):
    rows = [5, 2, 6]
    distributed = DistributedSampler(x, num_replicas=1, rank=0, shuffle=False)
    model = Net()
    got = asked(model, [DataLoader(x, sampler=rows, batch_size=2)], seed)
    torch.testing.assert_close(got, asked(model, [x[rows]], seed))
    got = asked(model, [DataLoader(x, sampler=distributed, batch_size=2)], seed)
    torch.testing.assert_close(got, asked(model, [x], seed))


@FORKS
@pytest.mark.parametrize("workers", [0, 2])
def test_no_generator_moves(workers, x, seed):
    torch.manual_seed(seed % 2**31)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    loader = DataLoader(TensorDataset(x), batch_size=3, num_workers=workers)
    asked(nn.Sequential(nn.Dropout(0.5)), [loader], seed)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    own = torch.Generator().manual_seed(1)
    asked(nn.Sequential(nn.Dropout(0.5)), [DataLoader(x, generator=own)], seed)
    assert not torch.equal(own.get_state(), torch.Generator().manual_seed(1).get_state())


@FORKS
def test_workers_have_the_seeds_that_torch_gives_them(seed):
    loader = DataLoader(Noisy(None), batch_size=4, num_workers=2)
    torch.manual_seed(seed % 2**31)
    state = torch.get_rng_state()
    want = torch.cat(list(loader))
    torch.set_rng_state(state)
    model = nn.Sequential(nn.Dropout(0.5))
    got = plain_pass(model, loader)
    assert torch.equal(got, want)


@FORKS
def test_workers_that_persist_do(seed, x):
    loader = DataLoader(TensorDataset(x), batch_size=4, num_workers=1, persistent_workers=True)
    model = nn.Sequential(nn.Dropout(0.5))
    first = asked(model, [loader], seed)
    process = loader._iterator._workers[0].pid
    assert torch.equal(asked(model, [loader], seed), first)
    assert loader._iterator._workers[0].pid == process
    assert torch.equal(torch.cat([batch[0] for batch in loader]), x)


def test_another_thread_draws_what_it_would(seed, x):
    """Its numbers are neither repeated nor left out while loaders are gone through."""
    model, stop, drawn = nn.Sequential(nn.Dropout(0.5)), threading.Event(), []
    torch.manual_seed(seed % 2**31)

    def draw():
        while not stop.is_set():
            drawn.append(torch.randint(2**62, ()).item())

    thread = threading.Thread(target=draw)
    thread.start()
    for _ in range(200):
        plain_pass(model, DataLoader(x, batch_size=2))
    stop.set()
    thread.join()
    assert len(drawn) > 1
    torch.manual_seed(seed % 2**31)
    assert drawn == [torch.randint(2**62, ()).item() for _ in drawn]


def test_a_stream_is_gone_through_once(x, seed):
    class Stream(IterableDataset):
        times = 0

        def __iter__(self):
            Stream.times += 1
            return iter(x)

    torch.testing.assert_close(
        asked(Net(), [DataLoader(Stream(), batch_size=2)], seed).shape, torch.Size([4, 7, 3])
    )
    assert Stream.times == 1
