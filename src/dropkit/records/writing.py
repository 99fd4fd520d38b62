"""Writing: the same content gives the same bytes, and a file is there whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dropkit.core import FolderError


def canonical_json(model: BaseModel) -> bytes:
    """Return ``model`` as JSON: sorted keys, shortest exact floats, not finite as null, ASCII, a final newline."""
    values = _finite(model.model_dump(mode="python", by_alias=True))
    return (json.dumps(values, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def write_json(path: str | os.PathLike[str], model: BaseModel) -> None:
    """Write ``model`` to ``path``; see :func:`canonical_json` and :func:`write_bytes`."""
    write_bytes(Path(path), canonical_json(model))


def write_bytes(path: Path, content: bytes) -> None:
    """Put a file with ``content`` at ``path`` in one step; when this returns it is on the disk.

    It is written under a temporary name in the same folder (made if missing), synced, renamed, and the folder synced.

    Raises:
        FolderError: The folder or the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(fresh, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        _sync(path.parent)
    except OSError as error:
        raise FolderError(
            f"cannot write {path}: {error.strerror}; choose a folder that can be written"
        ) from error


def _sync(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
