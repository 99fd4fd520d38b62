"""Opening a study's folder: made when new, recognised when old, refused when somebody else's."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dropkit.core import FolderError
from dropkit.records.lock import holds_lock, lock
from dropkit.records.models import Fingerprint, StudyInfo
from dropkit.records.reading import is_temporary, read_study
from dropkit.records.writing import write_bytes, write_json

_OTHER = "choose another --out"
_PACKAGES = ("dropkit", "torch", "numpy", "scipy", "scikit-learn")


def config_sha256(config_text: str) -> str:
    """Return the digest by which a folder knows its configuration."""
    return hashlib.sha256(config_text.encode("utf-8")).hexdigest()


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def open_folder(
    folder: str | os.PathLike[str],
    config_text: str,
    *,
    versions: Mapping[str, str] | None = None,
    fingerprint: Fingerprint | None = None,
) -> StudyInfo:
    """Make ``folder`` the study of ``config_text``, or find that it is already.

    A new folder gets ``config.toml`` with exactly this text, and ``study.json``. In an old one the files that an
    interrupted writer left under temporary names are removed. Nothing is changed in a folder that is refused. Call
    it before or inside :func:`lock`; it takes the lock for itself where this process does not hold it.

    Args:
        folder: Made if missing, with its parents.
        config_text: The study's configuration.
        versions: For a new folder's ``study.json``; default: :func:`current_versions`.
        fingerprint: Of data and model, for a new folder's ``study.json``; that of an old folder has to be the same.

    Returns:
        What ``study.json`` says: for an old folder, the versions that the study began with.

    Raises:
        FolderError: It belongs to another configuration, data, model or torch, is not empty and no study, is locked
            by another study, is not a folder, or cannot be written.
    """
    path = Path(folder)
    check_folder(path, config_text, fingerprint=fingerprint)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"cannot make folder {path}: {error.strerror}; {_OTHER}") from error
    with nullcontext() if holds_lock(path) else lock(path):
        info = check_folder(
            path, config_text, fingerprint=fingerprint
        )  # again: another study may have been faster
        _sweep(path)
        if not (path / "config.toml").exists():
            write_bytes(path / "config.toml", config_text.encode("utf-8"))
        if info is None:
            found = current_versions() if versions is None else dict(versions)
            digest = config_sha256(config_text)
            info = StudyInfo(config_sha256=digest, versions=found, fingerprint=fingerprint)
            write_json(path / "study.json", info)
        return info


def check_folder(
    folder: str | os.PathLike[str], config_text: str, *, fingerprint: Fingerprint | None = None
) -> StudyInfo | None:
    """Return the study that ``folder`` already is, None where one may begin; nothing is written.

    Args:
        folder: A study's, an empty one, or one that is not there.
        config_text: The study's configuration.
        fingerprint: Of data and model as they are now, or None: don't compare those, nor torch's version.

    Raises:
        FolderError: It belongs to another configuration, data, model or torch, is not empty and no study, or is not
            a folder.
    """
    path = Path(folder)
    try:
        entries = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise FolderError(f"{path} is a file or lies in one, not a folder; {_OTHER}") from None
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror}; {_OTHER}") from error
    if "study.json" not in entries:
        _check_empty(path, entries, config_text)
        return None
    info, ours = read_study(path), config_sha256(config_text)
    if info.config_sha256 != ours:
        raise FolderError(
            f"{path} belongs to a study with another config (sha256 {info.config_sha256[:12]}..., this one has "
            f"{ours[:12]}...); {_OTHER}, or use the config it began with: {path / 'config.toml'}"
        )
    if "config.toml" in entries and _differs(path / "config.toml", config_text):
        raise FolderError(
            f"{path / 'config.toml'} was changed after the study began; put back the original, or {_OTHER}"
        )
    if fingerprint is not None and (changes := _changes(info, fingerprint)):
        raise FolderError(
            f"{path} began with {' and '.join(changes)}, so that new runs would not be comparable with those it has; "
            f"{_OTHER}, or restore what changed"
        )
    return info


def _changes(info: StudyInfo, now: Fingerprint) -> list[str]:
    """Return what is no longer as it was when the study began; a folder of old knows only of torch."""
    changes, torch = [], current_versions().get("torch")
    if (before := info.versions.get("torch")) not in (None, torch):
        changes.append(f"torch {before} (this is {torch})")
    if (was := info.fingerprint) is not None:
        if was.data != now.data:
            changes.append(f"other data (sha256 {was.data[:12]}..., this has {now.data[:12]}...)")
        sources = [name for name, digest in was.sources.items() if now.sources.get(name) != digest]
        changes += [f"another source of module {name}" for name in sources]
        if was.model != now.model:
            changes.append(
                f"other initial weights (sha256 {was.model[:12]}..., this has {now.model[:12]}...)"
            )
    return changes


def _check_empty(path: Path, entries: set[str], config_text: str) -> None:
    """Raise unless ``path`` is empty, or holds only what a study killed while being set up leaves behind."""
    rest = {name for name in entries if name != ".lock" and not is_temporary(Path(name))}
    if "config.toml" in rest and not _differs(path / "config.toml", config_text) and ".lock" in entries:
        rest.remove("config.toml")
    if rest:
        names = ", ".join(sorted(rest)[:3]) + (", ..." if len(rest) > 3 else "")
        raise FolderError(f"{path} is not empty and holds no study ({names}); {_OTHER}, or empty it")


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode("utf-8")
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror}; {_OTHER}") from error


def _sweep(path: Path) -> None:
    """Remove the temporary files of writers that are dead, as all are while the lock is ours."""
    for place in (path, path / "runs", path / "timing", path / "predictions"):
        for file in place.glob(".*.tmp"):
            if is_temporary(file):
                file.unlink(missing_ok=True)
    for file in (path / "checkpoints").glob("*.tmp"):
        file.unlink(missing_ok=True)
