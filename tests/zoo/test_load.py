import subprocess
import sys

import pytest

from dropkit.core import ConfigError, DataError, UnknownNameError
from dropkit.zoo import DATA_NAMES, load_data


def test_names():
    assert DATA_NAMES == ("breast-cancer", "digits", "fashion-mnist", "mnist")


@pytest.mark.parametrize(("name", "near"), [("digit", "digits"), ("fashion_mnist", "fashion-mnist")])
def test_unknown_name_gives_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"unknown data '{name}'; did you mean '{near}'"):
        load_data(name)


def test_a_far_name_lists_what_there_is():
    with pytest.raises(
        UnknownNameError, match=r"known: FILE\.csv, FILE\.npz, breast-cancer, .*package.module:factory"
    ):
        load_data("qqqq.zzzz")


@pytest.mark.parametrize("name", ["gone.csv", "gone.npz", "sub/gone.CSV"])
def test_missing_file_gives_the_place_it_was_looked_for(name, tmp_path):
    with pytest.raises(DataError, match=rf"{name}: there is no file {tmp_path}/{name}; correct the path"):
        load_data(name, dir=tmp_path)


def test_arguments_without_meaning_are_refused():
    with pytest.raises(
        ConfigError, match="target names a column of a CSV file and means nothing for 'digits'"
    ):
        load_data("digits", target="y")
    with pytest.raises(ConfigError, match="task must be 'classification' or 'regression', got 'ranking'"):
        load_data("digits", task="ranking")
    with pytest.raises(ConfigError, match="digits is for classification, got task = 'regression'"):
        load_data("digits", task="regression")
    with pytest.raises(ConfigError, match="the name of the data must be text, got 3"):
        load_data(3)


def test_too_much_asked_of_digits():
    with pytest.raises(DataError, match="digits: test = 1797, but of 1797 examples it can be from 1 to 1796"):
        load_data("digits", test=1797)


def test_importing_the_zoo_imports_no_scikit_learn():
    code = "import sys, dropkit.zoo; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
