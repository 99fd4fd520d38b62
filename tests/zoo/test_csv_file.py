import pytest
import torch

from dropkit.core import ConfigError, DataError, UnknownNameError
from dropkit.zoo import load_data


@pytest.fixture
def table(tmp_path):
    def write(text, *, name="t.csv", encoding="utf-8"):
        (tmp_path / name).write_text(text, encoding=encoding)
        return str(tmp_path / name)

    return write


def rows(cells, n=20):
    """``n`` lines made by ``cells(i)``, under the columns a, b and y."""
    return "a,b,y\n" + "".join(",".join(map(str, cells(i))) + "\n" for i in range(n))


def test_text_target_makes_named_classes_and_labels_stay_with_their_rows(table):
    data = load_data(table(rows(lambda i: (i, -i, ["no", "yes"][i >= 10]))))
    assert (data.task, data.class_names, data.outputs, data.input_shape) == (
        "classification",
        ("no", "yes"),
        2,
        (2,),
    )
    assert (len(data.train), len(data.val), len(data.test)) == (13, 3, 4)
    x = torch.cat([part[:][0] for part in (data.train, data.val, data.test)])
    y = torch.cat([part[:][1] for part in (data.train, data.val, data.test)])
    assert y.dtype is torch.int64
    assert torch.equal(x[:, 0].argsort(), (-x[:, 1]).argsort())
    assert y[x[:, 0].argsort()].tolist() == [0] * 10 + [1] * 10


def test_inputs_are_standardised_by_the_training_part_and_a_constant_column_is_zero(table):
    data = load_data(table(rows(lambda i: (i * i, 0.1, i % 2), n=50)))
    x = data.train[:][0]
    torch.testing.assert_close(x.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)
    assert data.test[:][0][:, 0].mean().abs() > 1e-4
    assert not data.test[:][0][:, 1].any()  # exactly, though the mean of many 0.1 is not 0.1


def test_regression_target_is_standardised_and_its_scale_kept(table):
    data = load_data(table(rows(lambda i: (i, 1 - i, 100 + i * 0.5), n=40)))
    assert (data.task, data.outputs, data.class_names) == ("regression", 1, None)
    y = data.train[:][1]
    assert y.dtype is torch.float32
    assert y.shape == (len(data.train), 1)
    torch.testing.assert_close((y.mean(), y.std(correction=0)), (torch.tensor(0.0), torch.tensor(1.0)))
    back = (
        torch.cat([part[:][1] for part in (data.train, data.val, data.test)]) * data.target_std
        + data.target_mean
    )
    torch.testing.assert_close(back.flatten().sort().values, 100 + torch.arange(40) * 0.5)


def test_target_column_is_chosen_by_name(table):
    path = table(rows(lambda i: (i % 3, i, i * 1.5)))
    data = load_data(path, target="a")
    assert (data.class_names, data.input_shape) == (("0", "1", "2"), (2,))
    with pytest.raises(UnknownNameError, match=r"unknown target column of .*t\.csv: 'aa'; did you mean 'a'"):
        load_data(path, target="aa")


@pytest.mark.parametrize(
    ("target", "task", "expected"),
    [
        (lambda i: i % 20, None, "classification"),
        (lambda i: i % 21, None, "regression"),  # too many values for labels
        (lambda i: f"{i % 3}.0", None, "classification"),
        (lambda i: i % 3, "regression", "regression"),
        (lambda i: i % 30, "classification", "classification"),
        (lambda i: i % 2 + 0.5, None, "regression"),
        (lambda i: "NA" if i % 2 else "EU", None, "classification"),  # a name, not a missing value
    ],
)
def test_task_follows_the_target(table, target, task, expected):
    assert load_data(table(rows(lambda i: (i, i, target(i)), n=84)), task=task).task == expected


def test_integer_classes_sort_as_numbers(table):
    data = load_data(table(rows(lambda i: (i, i, [2, "1e20", -1][i % 3]), n=30)))
    assert data.class_names == ("-1", "2", "100000000000000000000")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_quotes_blank_lines_and_a_byte_order_mark(table, separator):
    text = rows(lambda i: (i, i, "'x y'" if i % 2 else "z")).replace(",", separator)
    text = "\ufeff" + text.replace("a", '"a, long"', 1).replace("\n", "\r\n") + "\n\n"
    data = load_data(table(text))
    assert data.class_names == ("'x y'", "z")


def test_path_may_start_at_dir(table, tmp_path):
    table(rows(lambda i: (i, i, i % 2)))
    assert load_data("t.csv", dir=tmp_path).name == "t.csv"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "it needs a line of column names and rows under it, it has 0 lines"),
        ("a,b\n", DataError, "it has 1 lines"),
        ("a\n1\n2\n", DataError, "it has one column"),
        ("1,2\n3,4\n", DataError, "first line must be column names, got numbers"),
        ("a,a,y\n1,2,3\n", DataError, "two columns are called 'a'"),
        ("a,b,y\n1,2,0\n1,2\n", DataError, "line 3 has 2 cells, the header has 3"),
        ("a,b,y\n1,red,0\n1,blue,1\n", DataError, "column 'b' is not numeric, it has 'red' on line 2; leave"),
        (
            "a,b,y\n1,2,0\n\n1,,1\n?,4,1\n",
            DataError,
            "2 missing or infinite values, .*NaN.* in line 4, column 'b'",
        ),
        (
            "a,b,y\n1,2,0\n1,nan,1\n",
            DataError,
            "1 missing or infinite values.* in line 3, column 'b'; remove",
        ),
        ("a,b,y\n1,2,0\n1,inf,1\n", DataError, "the first one infinite in line 3, column 'b'"),
        ("a,b,y\n1,2,\n1,3,x\n", DataError, "target 'y' is missing in 1 rows, the first on line 2"),
        ("a,b,y\n1,2,0.5\n1,3,inf\n", DataError, "infinite in line 3, column 'y'"),
        ("a,b,y\n" + "1,2,0\n" * 9, DataError, r"the training part has a single class \(label 0\)"),
        ("a,b,y\n" + "1,2,0.1\n" * 70, DataError, "the target is 0.1 in the whole training part"),
        ("a,b,y\n1,2,0\n1,2,1\n", DataError, "1 examples are too few to take val from"),
    ],
)
def test_bad_tables_get_one_clear_line(table, text, error, message):
    path = table(text)
    with pytest.raises(error, match=message) as caught:
        load_data(path)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_task_is_refused(table):
    with pytest.raises(DataError, match=r"target 'y' is not numeric, it has 'u' on line 2"):
        load_data(table(rows(lambda i: (i, i, "u"))), task="regression")
    with pytest.raises(ConfigError, match="numbers that are not whole"):
        load_data(table(rows(lambda i: (i, i, i / 2))), task="classification")


def test_unreadable_text_is_refused(table):
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 11\); save it as UTF-8"):
        load_data(table("a,b,y\n1,2,xé\n", encoding="latin-1"))
