import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dropkit.core import DataError
from dropkit.zoo import default_dir, load_data
from dropkit.zoo.idx_sets import (
    FILES,
    IDX_SETS,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    missing_files,
)


@pytest.mark.parametrize("zipped", [False, True])
def test_images_labels_and_parts(tmp_path, tiny_arrays, write_set, zipped):
    data = load_data("mnist", dir=write_set(tmp_path, tiny_arrays, zipped=zipped))
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 20)
    assert (data.task, data.input_shape, data.outputs, data.image) == (
        "classification",
        (1, 28, 28),
        10,
        True,
    )
    assert data.class_names == tuple("0123456789")
    for part, numbers in ((data.train, range(60)), (data.val, range(60)), (data.test, range(60, 80))):
        x, y = part[:]
        assert x.dtype is torch.float32
        assert y.dtype is torch.int64
        number = (x[:, 0, 0, 0] * 255).round().long()
        assert set(number.tolist()) <= set(numbers)
        assert torch.equal(y, number % 10)  # each image kept its label
        torch.testing.assert_close(x[:, 0, 0, 0], number / 255)


def test_default_dir_follows_the_environment(tmp_path, tiny_arrays, write_set, monkeypatch):
    monkeypatch.setenv("DROPKIT_DATA", str(tmp_path))
    assert default_dir("mnist") == tmp_path / "mnist"
    with pytest.raises(DataError, match=rf"mnist: .*{tmp_path}/mnist.*run `dropkit data fetch mnist`"):
        load_data("mnist")
    write_set(tmp_path / "mnist", tiny_arrays)
    assert len(load_data("mnist").test) == 20
    monkeypatch.delenv("DROPKIT_DATA")
    assert default_dir("mnist") == Path.home() / ".cache" / "dropkit" / "mnist"


def test_system_folder_is_found_by_itself(tmp_path, tiny_arrays, write_set, monkeypatch):
    assert IDX_SETS["fashion-mnist"].system_dirs == (Path("/usr/share/datasets/fashion-mnist"),)
    folder = write_set(tmp_path / "system", tiny_arrays, zipped=True, name="fashion-mnist")
    spec = IDX_SETS["fashion-mnist"]
    monkeypatch.setitem(IDX_SETS, "fashion-mnist", type(spec)(**{**vars(spec), "system_dirs": (folder,)}))
    monkeypatch.setenv("DROPKIT_DATA", str(tmp_path / "empty"))
    assert load_data("fashion-mnist").class_names[9] == "Ankle boot"


def test_wrong_checksum_names_the_file(tiny_mnist):
    path = tiny_mnist / TRAIN_IMAGES
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()[:12]
    with pytest.raises(
        DataError, match=rf"{path}: wrong checksum: .*{found}.*; delete it and fetch it again"
    ):
        load_data("mnist", dir=tiny_mnist)


def test_truncated_file_is_called_truncated(tiny_mnist):
    path = tiny_mnist / TEST_LABELS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{path}: truncated"):
        load_data("mnist", dir=tiny_mnist)


def test_missing_file_and_folder_are_named(tiny_mnist):
    (tiny_mnist / TRAIN_LABELS).unlink()
    assert missing_files(tiny_mnist) == [TRAIN_LABELS]
    with pytest.raises(DataError, match=rf"{tiny_mnist}: it has no {TRAIN_LABELS} or {TRAIN_LABELS}.gz; run"):
        load_data("mnist", dir=tiny_mnist)
    with pytest.raises(DataError, match="mnist: there is no folder /nowhere/at/all; run"):
        load_data("mnist", dir="/nowhere/at/all")


def test_labels_out_of_range_are_refused(tmp_path, tiny_arrays, write_set):
    tiny_arrays[TEST_LABELS] = tiny_arrays[TEST_LABELS].copy()
    tiny_arrays[TEST_LABELS][7] = 10
    folder = write_set(tmp_path, tiny_arrays)
    with pytest.raises(DataError, match=rf"{TEST_LABELS}: label 10 in row 7 is out of range 0 to 9"):
        load_data("mnist", dir=folder)


def test_images_and_labels_must_be_as_many(tmp_path, tiny_arrays, write_set):
    tiny_arrays[TRAIN_LABELS] = tiny_arrays[TRAIN_LABELS][:-1]
    with pytest.raises(DataError, match="60 inputs but 59 targets"):
        load_data("mnist", dir=write_set(tmp_path, tiny_arrays))


def test_train_and_test_images_must_have_one_size(tmp_path, tiny_arrays, write_set):
    tiny_arrays[TRAIN_IMAGES] = tiny_arrays[TRAIN_IMAGES][:, :20]
    with pytest.raises(DataError, match=r"training images are \(20, 28\), test images \(28, 28\)"):
        load_data("mnist", dir=write_set(tmp_path, tiny_arrays))


def test_a_folder_of_another_set_is_read(tmp_path, tiny_arrays, write_set):
    tiny_arrays = {
        key: value % 4 if "labels" in key else value[:, :12, :12] for key, value in tiny_arrays.items()
    }
    folder = write_set(tmp_path / "other", tiny_arrays, name="fashion-mnist")
    data = load_data(str(folder))
    assert (data.outputs, data.input_shape, data.class_names) == (4, (1, 12, 12), None)
    (folder / TEST_LABELS).unlink()
    with pytest.raises(DataError, match=f"it has no {TEST_LABELS}"):
        load_data(str(folder))


@pytest.mark.parametrize("name", sorted(IDX_SETS))
def test_real_files(name):
    spec = IDX_SETS[name]
    if all(missing_files(place) for place in (default_dir(name), *spec.system_dirs)):
        pytest.skip(f"the files of {name} are not here; `dropkit data fetch {name}` gets them")
    data = load_data(name, subset=1200)
    assert (len(data.train), len(data.val), len(data.test)) == (1000, 200, 10_000)
    assert np.bincount(data.test[:][1]).sum() == 10_000
    assert data.train[:][0].max() == 1.0


def test_checksums_are_of_all_files():
    for spec in IDX_SETS.values():
        assert set(spec.checksums) == set(FILES)
        assert len(set(spec.checksums.values())) == 4
        assert all(len(value) == 64 for value in spec.checksums.values())
