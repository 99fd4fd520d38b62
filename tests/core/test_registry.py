import dataclasses

import pytest

import dropkit as dk
from dropkit.core import UnknownNameError, register


def test_the_catalogue_is_sorted_and_complete():
    names = [v.name for v in dk.catalogue()]
    assert names == sorted(names)
    assert {"alpha_dropout", "drop_path", "dropout", "gaussian_dropout", "spatial_dropout2d"} <= set(names)


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(UnknownNameError, match="'dropuot'; did you mean 'dropout'") as caught:
        dk.variant("dropuot")
    assert isinstance(caught.value, LookupError)


def test_a_hopeless_name_lists_what_there_is():
    with pytest.raises(UnknownNameError, match=r"known: .*alpha_dropout, .*drop_path"):
        dk.variant("qqqqqq")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="'dropout' is already registered"):
        register(dk.variant("dropout"))


def test_an_entry_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        dk.variant("dropout").year = 1999
