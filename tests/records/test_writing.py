import json
import math
import os

import pytest

from dropkit.core import FolderError
from dropkit.records import canonical_json, write_json
from dropkit.records.writing import write_bytes


def test_equal_content_is_equal_bytes_whatever_the_order(run):
    one = canonical_json(run(test={"b": 1.0, "a": {"y": [1.0], "x": [2.0]}}))
    assert one == canonical_json(run(test={"a": {"x": [2.0], "y": [1.0]}, "b": 1.0}))
    assert one.endswith(b"}\n")
    assert one.isascii()
    keys = list(json.loads(one))
    assert keys == sorted(keys)


def test_floats_are_exact_and_what_is_not_finite_is_null(run):
    value = math.nextafter(0.1, 1.0)
    test = json.loads(
        canonical_json(run(test={"a": value, "b": math.nan, "c": math.inf, "d": {"r": [-math.inf, 0.5]}}))
    )["test"]
    assert test == {"a": value, "b": None, "c": None, "d": {"r": [None, 0.5]}}


def test_a_file_is_replaced_in_one_step_and_nothing_else_is_left(tmp_path, run):
    path = tmp_path / "runs" / "hidden--3.json"
    write_json(path, run())
    write_json(path, run(error="x"))
    assert json.loads(path.read_text())["error"] == "x"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_file_and_folder_are_synced_around_the_renaming(tmp_path, monkeypatch):
    events, replace, fsync = [], os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b)))

    def spy(descriptor):
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    write_bytes(tmp_path / "a", b"x")
    assert events == ["file", "rename", "folder"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def fail(descriptor):
        assert (tmp_path / f".a.{os.getpid()}.tmp").read_bytes() == b"new"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FolderError, match=r"cannot write .*a: No space left on device; choose"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot write .*file/a"):
        write_bytes(tmp_path / "file" / "a", b"x")
