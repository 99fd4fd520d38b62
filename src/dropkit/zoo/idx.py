"""The idx format of the MNIST family: a header of big-endian integers, then one byte a value."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropkit.core import DataError

_UNSIGNED_BYTE = 8


def read_content(path: Path) -> bytes:
    """Return the bytes of ``path``, unpacked if it ends in ``.gz``.

    Raises:
        DataError: it cannot be read, or is not a whole gzip file.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or not a gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_idx(content: bytes, axes: int, where: Path) -> NDArray[Any]:
    """Return the uint8 array of ``axes`` axes that ``content`` holds.

    Raises:
        DataError: it is not such an idx file, or is longer or shorter than its header says.

    Reference:
        LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file formats.
    """
    header = 4 + 4 * axes
    if len(content) < header or content[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]):
        raise DataError(
            f"{where}: not an idx file of bytes with {axes} axes (it begins {content[:4].hex(' ') or 'empty'},"
            f" not {bytes([0, 0, _UNSIGNED_BYTE, axes]).hex(' ')}); fetch it again"
        )
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = header + math.prod(shape)
    if len(content) != expected:
        fault = "truncated" if len(content) < expected else "too long"
        raise DataError(
            f"{where}: {fault}: its header promises {expected} bytes, it has {len(content)}; fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
