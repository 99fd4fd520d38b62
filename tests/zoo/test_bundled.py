import sys

import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from dropkit.core import ConfigError, DataError
from dropkit.zoo import load_data


def rows(data):
    """Return every x of the three parts as a set of tuples."""
    parts = (data.train, data.val, data.test)
    return [{tuple(x.flatten().tolist()) for x in part[:][0]} for part in parts]


def test_digits_are_split_800_200_797():
    data = load_data("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (800, 200, 797)
    assert (data.name, data.task, data.input_shape, data.outputs) == (
        "digits",
        "classification",
        (1, 8, 8),
        10,
    )
    assert data.image
    assert data.class_names == tuple("0123456789")
    x, y = data.train[:]
    assert (x.shape, x.dtype, y.dtype) == ((800, 1, 8, 8), torch.float32, torch.int64)
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_digits_keep_their_labels_and_no_image_is_in_two_parts():
    bunch = load_digits()
    label = {tuple((image / 16).tolist()): int(y) for image, y in zip(bunch.data, bunch.target, strict=True)}
    data = load_data("digits")
    for part in (data.train, data.val, data.test):
        for x, y in zip(*part[:], strict=True):
            assert label[tuple(x.flatten().tolist())] == y
    train, val, test = rows(data)
    assert len(train | val | test) == len(label) == len(train) + len(val) + len(test)


def test_digits_split_is_the_same_each_time_and_follows_the_seed():
    first, again, other = load_data("digits"), load_data("digits"), load_data("digits", split_seed=1)
    assert torch.equal(first.train[:][0], again.train[:][0])
    assert not torch.equal(first.test[:][0], other.test[:][0])


def test_breast_cancer_is_standardised_by_its_training_part():
    data = load_data("breast-cancer")
    assert (len(data.train), len(data.val), len(data.test)) == (364, 91, 114)
    assert (data.input_shape, data.outputs, data.image) == ((30,), 2, False)
    assert data.class_names == ("malignant", "benign")
    x = data.train[:][0].double()
    torch.testing.assert_close(x.mean(0), torch.zeros(30).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(30).double(), atol=1e-6, rtol=0)
    assert data.test[:][0].mean(0).abs().max() > 1e-3  # not by its own mean
    total = sum(int((part[:][1] == 1).sum()) for part in (data.train, data.val, data.test))
    assert total == load_breast_cancer().target.sum()


@pytest.mark.parametrize("name", ["digits", "breast-cancer"])
def test_without_scikit_learn_the_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match=rf"{name} comes with scikit-learn, .*pip install 'dropkit\[zoo\]'"):
        load_data(name)


def test_a_folder_means_nothing_for_them(tmp_path):
    with pytest.raises(ConfigError, match=r"digits .* has no files; leave dir out"):
        load_data("digits", dir=tmp_path)
