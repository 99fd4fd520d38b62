import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dropkit.zoo import idx_sets
from dropkit.zoo.idx_sets import FILES, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def tiny_arrays() -> dict[str, np.ndarray]:
    """60 + 20 images of 28x28 whose first pixel is their number, in 10 balanced classes."""
    images = np.zeros((80, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(80)
    labels = np.arange(80) % 10
    return {
        TRAIN_IMAGES: images[:60],
        TRAIN_LABELS: labels[:60],
        TEST_IMAGES: images[60:],
        TEST_LABELS: labels[60:],
    }


@pytest.fixture
def write_set(monkeypatch):
    """A function that writes arrays as the four files of a folder, and publishes their checksums as MNIST's."""

    def write(folder: Path, arrays: dict[str, np.ndarray], *, zipped=False, name="mnist") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        contents = {file: idx_bytes(arrays[file]) for file in FILES}
        for file, content in contents.items():
            if zipped:
                (folder / f"{file}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / file).write_bytes(content)
        sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
        spec = replace(idx_sets.IDX_SETS[name], checksums=sums, system_dirs=())
        monkeypatch.setitem(idx_sets.IDX_SETS, name, spec)
        return folder

    return write


@pytest.fixture
def tiny_mnist(tmp_path, tiny_arrays, write_set) -> Path:
    return write_set(tmp_path / "tiny", tiny_arrays)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module into the working directory and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere", *__import__("sys").path])  # undoes what load_factory appends

    count = iter(range(100))

    def write(text: str) -> str:
        name = f"user_code_{abs(hash(str(tmp_path)))}_{next(count)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write
