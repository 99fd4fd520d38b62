"""The checkpoint file of one run: whole or absent, never half written, and never taken for another run's."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from dropkit.core import ConfigError, DataError, FolderError

_SCHEMA = 1


def fingerprint(facts: dict[str, Any]) -> str:
    """Return a digest of plain values and numbers: equal for equal facts, whatever their order."""
    text = json.dumps(facts, sort_keys=True, default=float)  # NumPy's numbers as Python's
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoint:
    """A checkpoint at ``path`` that belongs to the run with this fingerprint.

    Raises:
        FolderError: the folder of ``path`` cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], owner: str) -> None:
        self.path = Path(path)
        self.owner = owner
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(
                f"cannot make the folder of checkpoint {self.path}: {error.strerror}"
            ) from error

    def load(self) -> dict[str, Any] | None:
        """Return the state last saved, or None if there is no file.

        Raises:
            DataError: the file is damaged.
            ConfigError: it is another run's.
            FolderError: it cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(
                self.path
            ) as archive:  # torch.load does not look at the checksums; this does
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"bad checksum of {damaged}")
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            owner, schema, state = found["owner"], found["schema"], found["state"]
        except (PermissionError, IsADirectoryError) as error:
            raise FolderError(f"cannot read checkpoint {self.path}: {error.strerror}") from error
        except (
            zipfile.BadZipFile,
            pickle.UnpicklingError,
            RuntimeError,
            OSError,
            EOFError,
            LookupError,
            TypeError,
        ) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"checkpoint {self.path} is damaged ({reason}); delete it, and the run starts anew"
            ) from error
        if schema != _SCHEMA or owner != self.owner:
            raise ConfigError(
                f"checkpoint {self.path} belongs to another run (settings, seed, model or data differ); delete it or "
                "choose another path"
            )
        return dict(state)

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file in one step; when this returns the new one is on the disk.

        Raises:
            FolderError: it cannot be written.
        """
        fresh = self.path.with_name(self.path.name + ".tmp")
        try:
            with open(fresh, "wb") as file:
                torch.save({"schema": _SCHEMA, "owner": self.owner, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise FolderError(f"cannot write checkpoint {self.path}: {error.strerror}") from error
