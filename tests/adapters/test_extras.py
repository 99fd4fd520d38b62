"""A library that is not installed is named with the extra that brings it."""

import subprocess
import sys

import pytest

import dropkit as dk


@pytest.mark.parametrize(
    ("adapter", "library", "extra"),
    [
        ("lightning", "lightning", "lightning"),
        ("hugging_face", "transformers", "hf"),
        ("skorch", "skorch", "skorch"),
    ],
)
def test_without_its_library_an_adapter_names_the_extra(adapter, library, extra):
    code = f"import sys; sys.modules[{library!r}] = None; import dropkit.adapters.{adapter}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: dropkit.adapters.")
    assert f"pip install 'dropkit[{extra}]'" in last


def test_there_are_no_others():
    with pytest.raises(AttributeError, match="no attribute 'keras'"):
        _ = dk.adapters.keras
