import gzip

import numpy as np
import pytest

from dropkit.core import DataError
from dropkit.zoo.idx import parse_idx, read_content

from .conftest import idx_bytes


def test_what_was_written_is_read(tmp_path):
    array = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    np.testing.assert_array_equal(parse_idx(idx_bytes(array), 3, tmp_path), array)


def test_gz_and_plain_have_the_same_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"content"))
    assert read_content(tmp_path / "a") == read_content(tmp_path / "a.gz") == b"content"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not an idx file .* begins empty"),
        (b"<html>hello hello</html>", "not an idx file of bytes with 3 axes"),
        (idx_bytes(np.zeros(4)), "not an idx file of bytes with 3 axes"),
        (idx_bytes(np.zeros((2, 3, 4)))[:-1], "truncated: its header promises 40 bytes, it has 39"),
        (idx_bytes(np.zeros((2, 3, 4))) + b"x", "too long: its header promises 40 bytes, it has 41"),
        (idx_bytes(np.zeros((2, 3, 4)))[:10], "not an idx file"),
    ],
)
def test_damaged_content_is_refused(content, text, tmp_path):
    with pytest.raises(DataError, match=rf"{tmp_path}: {text}"):
        parse_idx(content, 3, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-9], lambda b: b"plain text", lambda b: b[:20] + b"\xff" * 20 + b[40:], lambda b: b""],
    ids=["truncated", "not gzip", "bits flipped", "empty"],
)
def test_damaged_gz_is_refused(damage, tmp_path):
    whole = gzip.compress(np.random.default_rng(0).bytes(2000))
    (tmp_path / "a.gz").write_bytes(damage(whole))
    if damage(whole) == b"":  # an empty file is an empty gzip stream
        assert read_content(tmp_path / "a.gz") == b""
        return
    with pytest.raises(DataError, match=r"a\.gz: truncated or not a gzip file"):
        read_content(tmp_path / "a.gz")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone: cannot be read \(No such file"):
        read_content(tmp_path / "gone")
