"""MNIST, Fashion-MNIST, and any other set that comes as the same four idx files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dropkit.core import DataError
from dropkit.zoo.checks import check_labels, check_same_length
from dropkit.zoo.idx import parse_idx, read_content
from dropkit.zoo.source import Array, Source

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True)
class IdxSet:
    """A published set of four idx files.

    Args:
        name: Name it is asked for by.
        class_names: Name of each class.
        checksums: SHA-256, in hex, of each of ``FILES``, unpacked (so that any compression of it will do).
        system_dirs: Folders where a package of the operating system puts the files.
    """

    name: str
    class_names: tuple[str, ...]
    checksums: Mapping[str, str]
    system_dirs: tuple[Path, ...] = field(default=())


IDX_SETS = {
    "mnist": IdxSet(
        name="mnist",
        class_names=tuple("0123456789"),
        checksums={
            TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": IdxSet(
        name="fashion-mnist",
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        checksums={
            TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        system_dirs=(Path("/usr/share/datasets/fashion-mnist"),),
    ),
}


def default_dir(name: str) -> Path:
    """Return the folder that ``name`` is fetched into: ``$DROPKIT_DATA/name``, or ``~/.cache/dropkit/name``."""
    root = os.environ.get("DROPKIT_DATA")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "dropkit") / name


def find_file(folder: Path, file: str) -> Path | None:
    """Return the path of ``file`` in ``folder``, plain or gzipped, or None if it has neither."""
    return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)


def missing_files(folder: Path) -> list[str]:
    """Return those of the four files that ``folder`` does not have."""
    return [file for file in FILES if find_file(folder, file) is None]


def read_verified(spec: IdxSet, folder: Path) -> dict[str, Array]:
    """Return the four arrays of ``spec`` from ``folder``, each with its checksum verified.

    Raises:
        DataError: a file is missing or damaged, or is not the published one.
    """
    arrays = {}
    for file in FILES:
        path = find_file(folder, file)
        if path is None:
            raise DataError(f"{folder}: it has no {file} or {file}.gz; {_how_to_get(spec.name)}")
        content = read_content(path)
        arrays[file] = parse_idx(content, 3 if "images" in file else 1, path)
        verify(content, spec.checksums[file], path)
    return arrays


def verify(content: bytes, checksum: str, where: Path) -> None:
    """Raise ``DataError`` unless the SHA-256 of ``content`` is ``checksum``."""
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise DataError(
            f"{where}: wrong checksum: the SHA-256 of its content begins {found[:12]}, the published file's"
            f" {checksum[:12]}; delete it and fetch it again"
        )


def load_idx_set(name: str, folder: Path | None) -> Source:
    """Read the built-in set ``name`` from ``folder``, or from wherever it is found.

    Without ``folder`` the default folder is tried, then the folders of system packages.

    Raises:
        DataError: it is nowhere, or its files are damaged.
    """
    spec = IDX_SETS[name]
    if folder is None:
        tried = (default_dir(name), *spec.system_dirs)
        folder = next((place for place in tried if not missing_files(place)), None)
        if folder is None:
            places = " or ".join(map(str, tried))
            raise DataError(f"{name}: its files are not in {places}; {_how_to_get(name)}")
    elif not folder.is_dir():
        raise DataError(f"{name}: there is no folder {folder}; {_how_to_get(name)}")
    return _source(name, read_verified(spec, folder), folder, spec.class_names)


def load_idx_folder(folder: Path) -> Source:
    """Read four idx files of a set that is not built in; the classes are numbered from 0."""
    arrays = {}
    for file in FILES:
        path = find_file(folder, file)
        if path is None:
            raise DataError(f"{folder}: a folder of data must have the four idx files, it has no {file}")
        arrays[file] = parse_idx(read_content(path), 3 if "images" in file else 1, path)
    return _source(str(folder), arrays, folder, None)


def _source(
    name: str, arrays: Mapping[str, Array], folder: Path, class_names: tuple[str, ...] | None
) -> Source:
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        check_same_length(len(arrays[images]), len(arrays[labels]), f"{folder}/{images}")
    if arrays[TRAIN_IMAGES].shape[1:] != arrays[TEST_IMAGES].shape[1:]:
        raise DataError(
            f"{folder}: training images are {arrays[TRAIN_IMAGES].shape[1:]}, test images"
            f" {arrays[TEST_IMAGES].shape[1:]}; they must have one size"
        )
    classes = len(class_names) if class_names else int(arrays[TRAIN_LABELS].max()) + 1
    for labels in (TRAIN_LABELS, TEST_LABELS):
        check_labels(arrays[labels].astype(np.int64), classes, f"{folder}/{labels}")
    x = np.concatenate([arrays[TRAIN_IMAGES], arrays[TEST_IMAGES]])
    return Source(
        name=name,
        task="classification",
        x=x[:, None],
        y=np.concatenate([arrays[TRAIN_LABELS], arrays[TEST_LABELS]]).astype(np.int64),
        outputs=classes,
        class_names=class_names,
        sizes=(len(arrays[TRAIN_LABELS]), 0, len(arrays[TEST_LABELS])),
        scaling=255.0,
        image=True,
        val=1 / 6,
    )


def _how_to_get(name: str) -> str:
    return f"run `dropkit data fetch {name}`, or give the folder that has its idx files as dir"
