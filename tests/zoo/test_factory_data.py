import pickle

import pytest
import torch

from dropkit.core import ConfigError, DataError, UnknownNameError
from dropkit.zoo import load_data

HEAD = """
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from dropkit.zoo import Data

def part(n, first=0, classes=3):
    number = torch.arange(first, first + n)
    return TensorDataset(number[:, None].expand(n, 2), number % classes)

class Stream(IterableDataset):
    def __iter__(self):
        return iter(())

class Items(Dataset):
    classes = ["zero", "one", "two"]
    def __init__(self, n, x=lambda i: torch.full((1, 4, 4), float(i)), y=lambda i: i % 3):
        self.n, self.x, self.y = n, x, y
    def __len__(self):
        return self.n
    def __getitem__(self, i):
        return self.x(i), self.y(i)
"""


@pytest.fixture
def made(module):
    """A function that loads the data which ``expression`` makes."""

    def load(expression, **options):
        return load_data(f"{module(f'{HEAD}def factory(): return {expression}')}:factory", **options)

    return load


def sizes(data):
    return len(data.train), len(data.val), len(data.test)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(part(30), part(6, 30), part(9, 36))", (30, 6, 9)),
        ("[part(30), part(9, 36)]", (24, 6, 9)),  # validation is cut from training
        ("{'train': part(30), 'test': part(9, 36)}", (24, 6, 9)),
        ("{'train': part(30), 'val': part(6, 30)}", (24, 6, 6)),
        ("part(50)", (32, 8, 10)),
        ("Items(50)", (32, 8, 10)),
        (
            "(Items(30), part(6, 30), part(9))".replace("part(6, 30)", "Items(6)").replace(
                "part(9)", "Items(9)"
            ),
            (30, 6, 9),
        ),
    ],
)
def test_what_a_factory_may_return(made, expression, expected):
    data = made(expression)
    assert sizes(data) == expected
    assert (data.task, data.outputs) == ("classification", 3)
    x, y = data.train[0]
    assert (x.dtype, y.dtype, y.shape) == (torch.float32, torch.int64, ())
    for part in (data.train, data.val, data.test):
        for i in range(len(part)):
            x, y = part[i]
            assert int(x.flatten()[0]) % 3 == y  # labels stay with their inputs
    loader = torch.utils.data.DataLoader(data.val, batch_size=4)
    assert next(iter(loader))[0].shape[1:] == data.input_shape


def test_parts_stay_apart(made):
    data = made("(part(30), part(6, 30), part(9, 36))")
    assert data.test[:][0][:, 0].tolist() == list(range(36, 45))
    pooled = made("(part(30), part(6, 30), part(9, 36))", resplit=True)
    assert sizes(pooled) == (30, 6, 9)
    assert pooled.test[:][0][:, 0].tolist() != list(range(36, 45))


def test_images_and_class_names(made):
    data = made("Items(50)")
    assert (data.input_shape, data.image, data.class_names) == ((1, 4, 4), True, ("zero", "one", "two"))
    assert not made("part(50)").image


def test_regression_is_standardised(made):
    data = made("Items(50, y=lambda i: 10.0 + i)")
    assert (data.task, data.outputs, data.class_names) == ("regression", 1, None)
    y = torch.stack([data.train[i][1] for i in range(len(data.train))])
    assert y.shape == (32, 1)
    torch.testing.assert_close((y.mean(), y.std(correction=0)), (torch.tensor(0.0), torch.tensor(1.0)))
    x, y = data.test[0]
    torch.testing.assert_close(y * data.target_std + data.target_mean, 10 + x[0, 0, :1])
    assert made("Items(50, y=lambda i: torch.tensor([i, i * 2.0]))").outputs == 2
    assert made("part(50)", task="regression").task == "regression"


def test_a_finished_data_is_passed_on(made):
    expression = "Data('mine', 'classification', part(9), part(3), part(3), (2,), 3)"
    assert made(expression).name == "mine"
    with pytest.raises(ConfigError, match="returns a finished Data, which val cannot change"):
        made(expression, val=2)
    with pytest.raises(DataError, match=r"input_shape \(3,\), but x of train is \(2,\)"):
        made(expression.replace("(2,)", "(3,)"))
    with pytest.raises(DataError, match="test of its Data must be a torch Dataset"):
        made(expression.replace("part(3), (2,)", "None, (2,)"))


def test_dir_is_passed_on(module, tmp_path):
    name = module(HEAD + "def f(dir): return part(int((dir / 'n').read_text()))\ndef g(): return part(50)")
    (tmp_path / "n").write_text("50")
    assert sizes(load_data(f"{name}:f", dir=tmp_path)) == (32, 8, 10)
    with pytest.raises(ConfigError, match="takes no options, got 'dir'"):
        load_data(f"{name}:g", dir=tmp_path)


def test_parts_can_be_sent_to_a_process(made):
    data = made("part(50)")
    assert torch.equal(pickle.loads(pickle.dumps(data)).train[0][0], data.train[0][0])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("None", "must return a Data, .* got NoneType"),
        ("(part(9),)", "got tuple of 1"),
        ("{'test': part(9)}", "must return a training part, got test"),
        ("(torch.ones(3), torch.ones(3))", "train must be a torch Dataset with a length, got Tensor"),
        ("(part(9), Stream())", "test must be a torch Dataset with a length, got Stream"),
        ("(part(9), part(0))", "test has no examples"),
        ("TensorDataset(torch.ones(9, 2))", "must hold x and y, got 1 tensors"),
        ("(part(9), part(9, classes=4))", "test: label 3 in row 3 is out of range 0 to 2"),
        ("TensorDataset(torch.ones(9, 2), torch.arange(9) - 1)", "train: label -1 in row 0 is out of range"),
        ("Items(9, y=lambda i: i)", "label 3 in row 3 is out of range 0 to 2"),  # it has three class names
        (
            "TensorDataset(torch.ones(9, 2) / 0, torch.arange(9))",
            "18 missing or infinite values, .*in example 0",
        ),
        ("Items(9, x=lambda i: torch.tensor([float('nan') if i == 5 else 0.0]))", "NaN.* in example 5"),
        ("Items(9, y=lambda i: float('nan'))", "y: 9 missing or infinite values"),
        ("Items(9, x=lambda i: torch.ones(i + 1))", r"x of example 1 has shape \(2,\), example 0 \(1,\)"),
        ("Items(9, y=lambda i: torch.ones(i + 1))", "y differs in shape from example to example"),
        (
            "Items(9, y=lambda i: torch.ones(3, dtype=torch.long))",
            r"a label must be one whole number, got .*\(3,\)",
        ),
        ("Items(9, x=lambda i: 'text')", "example 0 must be tensors or numbers, got str and int"),
        ("Items(9, x=lambda i: 1 // 0)", "example 0 raised ZeroDivisionError: .*; correct the Dataset"),
        ("(Items(9), part(9))", r"test has x of shape \(2,\) .*, train has x of shape \(1, 4, 4\)"),
        ("part(30, classes=1)", "the training part has a single class"),
    ],
)
def test_wrong_returns_get_one_clear_line(made, expression, message):
    with pytest.raises(DataError, match=message) as caught:
        made(expression)
    assert ":factory" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_part_names_the_nearest(made):
    with pytest.raises(UnknownNameError, match="'tset'; did you mean 'test'"):
        made("{'train': part(9), 'tset': part(9)}")


def test_examples_that_are_no_pairs(module):
    name = module(
        HEAD + "class X(Items):\n    def __getitem__(self, i): return self.x(i)\ndef f(): return X(9)"
    )
    with pytest.raises(DataError, match=r"example 0 must be a pair \(x, y\), got Tensor"):
        load_data(f"{name}:f")
