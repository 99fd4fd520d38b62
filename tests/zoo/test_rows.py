"""Rows for an old model: scaled and numbered as in training, whatever file they come in."""

import numpy as np
import pytest
import torch

from dropkit.core import DataError, UnknownNameError
from dropkit.zoo import load_data, load_rows


@pytest.fixture
def table(tmp_path):
    """A table of three classes, 3, 5 and 10, and the Data that it makes."""
    cells = [(i % 7, i * i, (3, 5, 10)[i % 3]) for i in range(60)]
    text = "a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in cells)
    (tmp_path / "t.csv").write_text(text)
    return load_data(str(tmp_path / "t.csv"), target="y"), tmp_path


def write(folder, text, name="new.csv"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_part_is_the_part_itself(table):
    data, _ = table
    assert load_rows("val", data) is data.val


def test_a_row_of_the_file_is_what_it_was_in_training(table):
    data, folder = table
    whole = load_rows(str(folder / "t.csv"), data)
    x, y = whole.tensors
    seen = {tuple(row) for row in x.tolist()}
    for part in (data.train, data.val, data.test):
        assert {tuple(row) for row in part[:][0].tolist()} <= seen
    assert y.tolist() == [i % 3 for i in range(60)]


def test_columns_are_found_by_name_in_any_order_and_the_target_may_be_missing(table):
    data, folder = table
    x, y = load_rows(write(folder, "y,extra,b,a\n5.0,1,16,4\n10,1,0,0\n"), data).tensors
    assert y.tolist() == [1, 2]
    (bare,) = load_rows(write(folder, "b,a\n16,4\n0,0\n"), data).tensors
    assert torch.equal(bare, x)
    first = load_rows(str(folder / "t.csv"), data).tensors[0]
    assert torch.equal(x, first[[4, 0]])


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("a,y\n1,3\n", UnknownNameError, "no column that the model needs"),
        ("a,b,y\n1,2,4\n", UnknownNameError, "class in"),
        ("a,b,y\n1,2,3.4\n", UnknownNameError, "class in"),
        ("a,b,y\n1,,3\n", DataError, "missing or infinite"),
        ("a,b,y\n1,x,3\n", DataError, "not numeric"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table, text, error, words):
    data, folder = table
    with pytest.raises(error, match=words):
        load_rows(write(folder, text), data)


def test_targets_of_a_regression_are_standardised_as_in_training(tmp_path):
    text = "a,y\n" + "".join(f"{i},{10 + 0.5 * i}\n" for i in range(50))
    data = load_data(write(tmp_path, text, "t.csv"))
    _, y = load_rows(str(tmp_path / "t.csv"), data).tensors
    assert y.shape == (50, 1)
    np.testing.assert_allclose(
        y[:, 0] * data.target_std + data.target_mean, 10 + 0.5 * np.arange(50), rtol=1e-6
    )


def test_images_are_scaled_as_in_training_with_labels_or_without(tmp_path):
    draw = np.random.Generator(np.random.Philox(3))
    x, y = draw.integers(0, 256, (40, 5, 5), dtype=np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "t.npz", x=x, y=y)
    data = load_data(str(tmp_path / "t.npz"))
    np.savez(tmp_path / "new.npz", x=x[:7])
    (found,) = load_rows("new.npz", data, dir=tmp_path).tensors
    assert torch.equal(found, torch.from_numpy(x[:7, None].astype(np.float32) / 255))
    both = load_rows("t.npz", data, dir=tmp_path)
    assert both.tensors[1].tolist() == y.tolist()
    np.savez(tmp_path / "wide.npz", x=x[:, :, :4])
    with pytest.raises(DataError, match=r"must have shape \(1, 5, 5\) as in training, got \(1, 5, 4\)"):
        load_rows("wide.npz", data, dir=tmp_path)
    np.savez(tmp_path / "odd.npz", x=x, y=y + 5)
    with pytest.raises(DataError, match="out of range"):
        load_rows("odd.npz", data, dir=tmp_path)


def test_a_table_may_hold_images_row_by_row(tmp_path):
    x = np.arange(40 * 6, dtype=np.float32).reshape(40, 2, 3)
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(40) % 2)
    data = load_data(str(tmp_path / "t.npz"))
    heads, lines = ",".join("abcdef"), [",".join(f"{v:g}" for v in image.ravel()) for image in x[:3]]
    (bare,) = load_rows(write(tmp_path, "\n".join([heads, *lines]) + "\n"), data).tensors
    assert torch.equal(bare, torch.from_numpy(x[:3]).view(3, *data.input_shape))
    both = "\n".join([f"{heads},y", *(f"{line},{i % 2}" for i, line in enumerate(lines))])
    found, y = load_rows(write(tmp_path, both + "\n"), data).tensors
    assert torch.equal(found, bare)
    assert y.tolist() == [0, 1, 0]


def test_names_in_an_npz_file_are_looked_up(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    np.savez(tmp_path / "t.npz", x=x, y=np.array(["cat", "dog"] * 10))
    data = load_data(str(tmp_path / "t.npz"))
    np.savez(tmp_path / "new.npz", x=x[:3], y=np.array(["dog", "dog", "cat"]))
    assert load_rows("new.npz", data, dir=tmp_path).tensors[1].tolist() == [1, 1, 0]


def test_a_factory_gives_what_the_model_takes(module):
    name = module(
        "import torch\n"
        "from torch.utils.data import TensorDataset\n"
        "x = torch.arange(60.0).reshape(30, 2)\n"
        "def both(): return TensorDataset(x, torch.arange(30) % 2)\n"
        "def bare(): return {'train': TensorDataset(x), 'test': TensorDataset(x[:4])}\n"
        "def wrong(): return 3\n"
    )
    data = load_data(f"{name}:both")
    assert torch.equal(load_rows(f"{name}:both", data).tensors[0], torch.arange(60.0).reshape(30, 2))
    assert len(load_rows(f"{name}:bare", data)) == 4
    with pytest.raises(DataError, match="must return a torch Dataset"):
        load_rows(f"{name}:wrong", data)


def test_an_unknown_name_is_refused_with_what_there_is(table):
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        load_rows("tests", table[0])


def test_another_set_of_images_has_no_labels(tiny_mnist, tiny_arrays, write_set, tmp_path):
    data = load_data("mnist", dir=tiny_mnist)
    clothes = write_set(tmp_path / "clothes", tiny_arrays, name="fashion-mnist")
    assert len(load_rows("fashion-mnist", data, dir=clothes).tensors) == 1
    assert len(load_rows("mnist", data, dir=tiny_mnist).tensors) == 2
