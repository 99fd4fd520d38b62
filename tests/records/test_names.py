import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dropkit.core import FolderError, PlanError
from dropkit.records import check_plan_name, run_path, timing_path
from dropkit.records.names import parse_name


@pytest.mark.parametrize("name", ["none", "input-hidden", "hidden@0.3,0.5", "a_b+c=1", "0", "_", "x" * 120])
def test_legal_names_come_back(name):
    assert check_plan_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a--b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a/b",
        "../a",
        "a b",
        "a\n",
        "a\x00",
        "ä",
        "<script>",
        "x" * 121,
        "a---b",
        3,
        "=1+1",
        "@a",
    ],
)
def test_illegal_names_are_refused(name):
    with pytest.raises(PlanError, match="a plan's name must be"):
        check_plan_name(name)


@given(st.text(alphabet="ab-.@09", min_size=1, max_size=8), st.integers(0, 2**63))
def test_every_legal_name_is_read_back_from_its_path(name, seed):
    try:
        path = run_path("d", name, seed)
    except PlanError:
        assume(False)
    assert parse_name(path) == (name, seed)


def test_paths(tmp_path):
    assert run_path(tmp_path, "a-b", 7) == tmp_path / "runs" / "a-b--7.json"
    assert timing_path(tmp_path, "a-b", 0) == tmp_path / "timing" / "a-b--0.json"


def test_numpys_whole_numbers_are_seeds():
    assert run_path("d", "none", np.int64(7)) == run_path("d", "none", 7)


@pytest.mark.parametrize("seed", [-1, True, 1.0, "1"])
def test_a_seed_must_be_a_whole_number(seed):
    with pytest.raises(PlanError, match="a seed must be"):
        run_path("d", "none", seed)


@pytest.mark.parametrize(
    "name", ["none-1.json", "none--01.json", "none--1.txt", "none--x.json", "a--b--1.json", "x"]
)
def test_a_foreign_name_is_refused(tmp_path, name):
    with pytest.raises(FolderError, match=r"<plan>--<seed>\.json; move it elsewhere"):
        parse_name(tmp_path / name)
