import pytest
import torch
from torch.utils.data import IterableDataset, Subset, TensorDataset

from dropkit.core import DataError
from dropkit.train.samples import ItemSamples, TensorSamples, batches, samples

from .problems import Items, classes, values


@pytest.mark.parametrize("make", [classes, values])
def test_items_and_tensors_give_the_same_samples(make, seed, rng):
    data = make(50, seed)
    fast, slow = samples(data, "train"), samples(Items(data), "train")
    assert isinstance(fast, TensorSamples)
    assert isinstance(slow, ItemSamples)
    numbers = torch.randint(0, 50, (20,), generator=rng)
    for a, b, source in zip(fast.take(numbers), slow.take(numbers), data.tensors, strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype
        assert torch.equal(a, source[numbers])


def test_nested_subsets_are_read_by_rows(seed):
    data = classes(50, seed)
    part = samples(Subset(Subset(data, range(10, 40)), [3, 1, 2]), "val")
    assert isinstance(part, TensorSamples)
    assert torch.equal(part.x, data.tensors[0][[13, 11, 12]])
    assert torch.equal(part.y, data.tensors[1][[13, 11, 12]])


def test_a_subclass_of_tensor_dataset_is_asked_for_its_items(seed):
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return 2 * x, y

    data = classes(5, seed)
    x, _ = samples(Doubled(*data.tensors), "train").take(torch.tensor([4]))
    assert torch.equal(x, 2 * data.tensors[0][4:])


def test_signature_tells_targets_apart(seed):
    data = classes(50, seed)
    x, y = data.tensors
    other = y.clone()
    other[7] = (other[7] + 1) % 3
    assert samples(data, "a").signature() == samples(TensorDataset(x.clone(), y.clone()), "b").signature()
    assert samples(data, "a").signature() != samples(TensorDataset(x, other), "a").signature()


class Broken(Items):
    def __getitem__(self, index):
        if index == 3:
            raise OSError("no such image\nand more")
        return super().__getitem__(index)


class Odd(Items):
    def __getitem__(self, index):
        return super().__getitem__(index)[0][: index + 1], 0


class Single(Items):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


class Endless(IterableDataset):
    def __iter__(self):
        return iter(())


def test_unusable_datasets_give_one_clear_line(seed):
    data = classes(5, seed)
    cases = [
        (
            lambda: samples(TensorDataset(data.tensors[0]), "train"),
            "train: .* inputs and targets is needed, got 1",
        ),
        (lambda: samples(Endless(), "val"), "val: a dataset with a length .* got Endless"),
        (lambda: samples(TensorDataset(torch.zeros(0, 2), torch.zeros(0)), "val"), "val has no samples"),
        (lambda: samples(Subset(data, []), "train"), "train has no samples"),
        (
            lambda: samples(Broken(data), "t").take(torch.arange(5)),
            r"t: .* item 3 \(OSError: no such image\)",
        ),
        (
            lambda: samples(Odd(data), "t").take(torch.arange(3)),
            r"t: inputs of different shapes .*\(1,\), \(2,\)",
        ),
        (lambda: samples(Single(data), "t").take(torch.arange(3)), "t: item 0 must be a pair"),
    ]
    for act, text in cases:
        with pytest.raises(DataError, match=text) as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [
        (10, 5, [5, 5]),
        (11, 5, [5, 6]),  # a single one joins the batch before
        (12, 5, [5, 5, 2]),
        (3, 2, [3]),
        (3, 1, [1, 1, 1]),
        (1, 1, [1]),
        (5, 5, [5]),
    ],
)
def test_batches_keep_every_sample_and_leave_none_alone(count, size, lengths, rng):
    order = torch.randperm(count, generator=rng)
    parts = batches(order, size)
    assert [len(part) for part in parts] == lengths
    assert torch.equal(torch.cat(parts), order)
