"""``dropkit compare``: the verdict of ``dropkit.stats`` for two CSV files."""

import json

import pytest

from dropkit import stats

PLAIN = [0.031, 0.029, 0.035, 0.030, 0.033, 0.028]
BETTER = [0.021, 0.022, 0.024, 0.019, 0.022, 0.020]


@pytest.fixture
def table(tmp_path):
    def write(name, *rows):
        path = tmp_path / name
        path.write_text("".join(f"{row}\n" for row in rows))
        return path

    return write


@pytest.fixture
def results(table):
    return table("plain.csv", *PLAIN), table("better.csv", *BETTER)


def test_the_verdict_is_that_of_stats(dropkit, results):
    expected = stats.compare(PLAIN, BETTER, names=("plain", "better"), metric="1")
    answer = dropkit("compare", *results)
    assert answer.code == 0
    assert answer.out.splitlines()[0] == expected.sentence
    assert expected.verdict == "helped"
    assert json.loads(dropkit("compare", *results, "--json").out) == expected.to_dict()


def test_which_way_is_better_can_be_said(dropkit, results):
    verdict = json.loads(dropkit("compare", *results, "--larger-is-better", "--json").out)["verdict"]
    assert verdict == "hurt"


@pytest.mark.parametrize(
    ("column", "verdict"), [("accuracy", "hurt"), ("error", "helped"), ("mystery", "helped")]
)
def test_the_name_of_a_metric_says_which_way_is_better(dropkit, table, column, verdict):
    paths = [table(name, column, *rows) for name, rows in (("a.csv", PLAIN), ("b.csv", BETTER))]
    assert json.loads(dropkit("compare", *paths, "--json").out)["verdict"] == verdict
    other = "--smaller-is-better" if column == "accuracy" else "--larger-is-better"
    assert json.loads(dropkit("compare", *paths, other, "--json").out)["verdict"] != verdict


def test_rows_are_paired_by_seed(dropkit, table):
    plain = table("plain.csv", "seed,error,nll", *(f"{i},{v},9" for i, v in enumerate(PLAIN)))
    rows = [f"{v},{i},1" for i, v in enumerate(BETTER)]
    mixed = table("mixed.csv", "error,Seed,nll", *reversed(rows))
    found = json.loads(dropkit("compare", plain, mixed, "--column", "error", "--json").out)
    expected = stats.compare(PLAIN, BETTER, names=("plain", "mixed"), metric="error")
    assert found == expected.to_dict()
    upside_down = stats.compare(PLAIN, BETTER[::-1])
    assert upside_down.sd != expected.sd  # so pairing by order would have been seen


def test_files_of_the_same_name_are_told_apart(dropkit, tmp_path):
    paths = []
    for folder, rows in (("a", PLAIN), ("b", BETTER)):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "results.csv")
        paths[-1].write_text("\n".join(map(str, rows)))
    found = json.loads(dropkit("compare", *paths, "--json").out)
    assert (found["baseline"], found["treatment"]) == (str(paths[0]), str(paths[1]))


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([], [], ["file is empty"]),
        (PLAIN[:5], [], ["6 rows", "5"]),
        (["error", *PLAIN[:5], "none"], ["--column", "error"], ["no column 'error'"]),
        ([*PLAIN[:5], "none"], [], ["row 6", "'none'"]),
        ([*PLAIN[:5], "nan"], [], ["NaN"]),
        ([*PLAIN[:5], "1,2"], [], ["row 6", "2 values"]),
        (["x,x", "1,2"], [], ["same name"]),
    ],
)
def test_bad_files_are_named(refused, table, results, rows, more, words):
    line = refused("compare", results[0], table("bad.csv", *rows), *more)
    for word in words:
        assert word.lower() in line.lower()


def test_bad_choices_are_named(refused, table, results, tmp_path):
    assert "no such file" in refused("compare", results[0], tmp_path / "nowhere.csv")
    assert "cannot be read" in refused("compare", results[0], tmp_path)
    two = table("two.csv", "error,nll,seed", "1,2,0", "3,4,1")
    assert "--column: error, nll" in refused("compare", two, two)
    assert "did you mean 'error'?" in refused("compare", two, two, "--column", "eror")
    other = table("other.csv", "error,seed", "1,0", "3,2")
    assert "no row for seed 1" in refused("compare", two, other, "--column", "error")
    twice = table("twice.csv", "error,seed", "1,0", "3,0")
    assert "two rows" in refused("compare", two, twice, "--column", "error")
    one = table("one.csv", "1")
    assert "2" in refused("compare", one, one)
    assert "alpha" in refused("compare", *results, "--alpha", "2")


@pytest.mark.parametrize(
    "column", ["acc", "Accuracy", "test_accuracy", "val/acc", "macro-F1", "test acc (%)"]
)
def test_names_that_people_give_to_accuracy_are_understood(dropkit, table, column):
    paths = [table(name, column, *rows) for name, rows in (("a.csv", PLAIN), ("b.csv", BETTER))]
    assert json.loads(dropkit("compare", *paths, "--json").out)["verdict"] == "hurt"
    assert "note" not in dropkit("compare", *paths).out


@pytest.mark.parametrize("column", ["test_loss", "accuracy_loss", "Error", "mse"])
def test_names_that_people_give_to_losses_are_understood(dropkit, table, column):
    paths = [table(name, column, *rows) for name, rows in (("a.csv", PLAIN), ("b.csv", BETTER))]
    assert json.loads(dropkit("compare", *paths, "--json").out)["verdict"] == "helped"
    assert "note" not in dropkit("compare", *paths).out


def test_a_direction_that_had_to_be_assumed_is_said(dropkit, results):
    assert "smaller is assumed to be better" in dropkit("compare", *results).out
    for said in ("--larger-is-better", "--smaller-is-better"):
        assert "assumed" not in dropkit("compare", *results, said).out


def test_no_effect_is_called_detectable_without_a_spread(dropkit, table):
    paths = [table(name, *([level] * 3)) for name, level in (("a.csv", 0.3), ("b.csv", 0.2))]
    answer = dropkit("compare", *paths).out
    assert "degenerate" in answer
    assert "nan" not in answer
