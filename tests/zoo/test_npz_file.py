import numpy as np
import pytest
import torch

from dropkit.core import ConfigError, DataError
from dropkit.zoo import load_data


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return str(tmp_path / "d.npz")

    return write


X = np.arange(120.0).reshape(40, 3)
Y = np.arange(40) % 4


def test_table_with_labels(npz):
    data = load_data(npz(x=X, y=Y))
    assert (data.task, data.outputs, data.input_shape, data.class_names) == ("classification", 4, (3,), None)
    x, y = data.train[:]
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(3))
    back = (x[:, 0] - x[0, 0]) / (x[1, 0] - x[0, 0]) if len(x) > 1 else x
    assert len(back) == len(y) == 26


def test_labels_stay_with_their_rows(npz):
    data = load_data(npz(x=X, y=Y))
    x = torch.cat([part[:][0] for part in (data.train, data.val, data.test)])
    y = torch.cat([part[:][1] for part in (data.train, data.val, data.test)])
    assert y[x[:, 0].argsort()].tolist() == Y.tolist()


def test_parts_in_the_file_are_kept(npz):
    path = npz(x_train=X, y_train=Y, x_val=X[:8], y_val=Y[:8], x_test=X[:12], y_test=Y[:12])
    data = load_data(path)
    assert (len(data.train), len(data.val), len(data.test)) == (40, 8, 12)
    assert data.test[:][1].tolist() == Y[:12].tolist()
    assert len(load_data(npz(x_train=X, y_train=Y, x_test=X, y_test=Y)).val) == 8


@pytest.mark.parametrize(
    ("x", "shape", "top", "image"),
    [
        (np.full((40, 5, 5), 255, np.uint8), (1, 5, 5), 1.0, True),
        (np.full((40, 3, 5, 5), 255, np.uint8), (3, 5, 5), 1.0, True),
        (np.full((40, 3, 5, 5), 7.5), (3, 5, 5), 7.5, True),
        (np.full((40, 5, 5), 7.5), (5, 5), 7.5, False),
    ],
)
def test_images_and_other_arrays(npz, x, shape, top, image):
    data = load_data(npz(x=x, y=Y))
    assert (data.input_shape, data.image, float(data.train[:][0].max())) == (shape, image, top)


def test_regression_with_several_targets(npz):
    y = np.stack([np.arange(40.0), 1000 - np.arange(40.0)], axis=1)
    data = load_data(npz(x=X, y=y))
    assert (data.task, data.outputs, data.train[:][1].shape) == ("regression", 2, (26, 2))
    back = (
        torch.cat([p[:][1] for p in (data.train, data.val, data.test)]) * data.target_std + data.target_mean
    )
    torch.testing.assert_close(back.sum(1), torch.full((40,), 1000.0))
    assert load_data(npz(x=X, y=Y), task="regression").outputs == 1


def test_text_labels_and_class_names(npz):
    assert load_data(npz(x=X, y=np.array(["b", "a"])[Y % 2])).class_names == ("a", "b")
    data = load_data(npz(x=X, y=Y, class_names=np.array(["p", "q", "r", "s", "absent"])))
    assert (data.outputs, data.class_names[4]) == (5, "absent")
    assert load_data(npz(x=X, y=Y[:, None].astype(float)), task="classification").outputs == 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "it must hold x and y, or x_train, .*it holds x"),
        ({"x_test": X, "y_test": Y}, "it must hold x and y"),
        ({"x": X, "y": Y, "z": Y}, "it holds x, y, z"),
        ({"x": X, "y": Y[:-1]}, "40 inputs but 39 targets"),
        ({"x": X[:0], "y": Y[:0]}, "there are no examples"),
        ({"x": X[:, 0], "y": Y}, r"x must be \(N, D\) or \(N, C, H, W\), got \(40,\)"),
        ({"x": X.astype(str), "y": Y}, "x must be numbers, got dtype <U"),
        ({"x": X, "y": np.array(3)}, "y must have one row an example"),
        ({"x": X, "y": np.eye(4, dtype=int)[Y]}, r"labels must be \(N,\), got \(40, 4\); for one-hot labels"),
        ({"x": X, "y": np.where(Y == 3, 99, Y)}, "label 99 in row 3 is out of range 0 to 3"),
        ({"x": X, "y": Y - 1}, "label -1 in row 0 is out of range 0 to 3"),
        (
            {"x": X, "y": Y, "class_names": np.array(["a", "b", "c"])},
            "label 3 in row 3 is out of range 0 to 2",
        ),
        ({"x": np.where(X == 31, np.nan, X), "y": Y}, "x: 1 missing or infinite values, .*in row 10; remove"),
        ({"x": X, "y": np.where(Y == 1, np.inf, Y)}, "y: 10 missing or infinite values, .*infinite in row 1"),
        ({"x": np.zeros((40, 8, 8, 3)), "y": Y}, r"has its channels last; store \(N, C, H, W\)"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
            "x_test and y_test must have the shape",
        ),
        ({"x": np.array([{}] * 40), "y": Y}, "it holds Python objects; save arrays of numbers"),
    ],
)
def test_bad_arrays_get_one_clear_line(npz, arrays, message):
    path = npz(**arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_data(path)
    assert "d.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_labels(npz):
    with pytest.raises(ConfigError, match="y has numbers that are not whole"):
        load_data(npz(x=X, y=Y + 0.5), task="classification")
    with pytest.raises(DataError, match="regression targets must be numbers"):
        load_data(npz(x=X, y=Y.astype(str)), task="regression")


def test_damaged_files_are_refused(npz, tmp_path):
    path = npz(x=X, y=Y)
    whole = (tmp_path / "d.npz").read_bytes()
    for damaged in (whole[:-40], b"", b"text", whole[:300] + bytes(64) + whole[364:]):
        (tmp_path / "d.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"d\.npz: damaged or no NPZ file"):
            load_data(path)
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(DataError, match=r"d\.npz: damaged or no NPZ file"):
        load_data(path)
