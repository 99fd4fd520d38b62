import hashlib
import json
import os
import re
import subprocess
import sys

import pytest

from dropkit.core import FolderError
from dropkit.records import (
    Fingerprint,
    check_folder,
    config_sha256,
    current_versions,
    lock,
    open_folder,
    run_path,
    write_json,
)

CONFIG = '# wholly mine\r\nname = "a" # μ\n'


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_new_folder_gets_the_exact_config_and_the_study(tmp_path):
    out = tmp_path / "a" / "b"
    info = open_folder(out, CONFIG, versions={"torch": "2"})
    digest = hashlib.sha256(CONFIG.encode()).hexdigest()
    assert info.config_sha256 == digest == config_sha256(CONFIG)
    assert content(out) == {
        "config.toml": CONFIG.encode(),
        "study.json": (
            f'{{\n "config_sha256": "{digest}",\n "schema": 1,\n "versions": {{\n  "torch": "2"\n }}\n}}\n'
        ).encode(),
    }


def test_versions_are_those_installed_and_torch_is_not_imported():
    found = current_versions()
    assert {"python", "torch", "numpy", "dropkit"} <= set(found)
    code = "import sys, dropkit.records as r; r.current_versions(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_config_opens_it_again_and_changes_nothing(tmp_path, run):
    open_folder(tmp_path, CONFIG, versions={"torch": "1"})
    write_json(run_path(tmp_path, "hidden", 3), run())
    before = content(tmp_path)
    assert open_folder(tmp_path, CONFIG, versions={"torch": "2"}).versions == {"torch": "1"}
    assert content(tmp_path) == before


def test_another_config_is_refused(tmp_path):
    open_folder(tmp_path, CONFIG)
    before = content(tmp_path)
    ours, theirs = config_sha256(CONFIG)[:12], config_sha256("x")[:12]
    with pytest.raises(
        FolderError, match=rf"another config \(sha256 {ours}\.\.\., this one has {theirs}"
    ) as caught:
        open_folder(tmp_path, "x")
    assert "choose another --out, or use the config it began with" in str(caught.value)
    assert content(tmp_path) == before


def test_other_data_model_code_or_torch_is_refused_and_changes_nothing(tmp_path):
    ours = Fingerprint(data="a" * 64, model="b" * 64, sources={"mine": "c" * 64})
    now = {"torch": current_versions()["torch"]}
    open_folder(tmp_path, CONFIG, versions=now, fingerprint=ours)
    before = content(tmp_path)
    assert open_folder(tmp_path, CONFIG, fingerprint=ours).fingerprint == ours
    assert check_folder(tmp_path, CONFIG).fingerprint == ours  # not asked to compare
    for change, words in [
        ({"data": "d" * 64}, "other data"),
        ({"model": "d" * 64}, "other initial weights"),
        ({"sources": {"mine": "d" * 64}}, "another source of module mine"),
        ({"sources": {}}, "another source of module mine"),
    ]:
        for call in (check_folder, open_folder):
            with pytest.raises(FolderError, match=f"began with {words}.*choose another --out, or restore"):
                call(tmp_path, CONFIG, fingerprint=ours.model_copy(update=change))
    assert content(tmp_path) == before
    other = tmp_path / "other"
    open_folder(other, CONFIG, versions={"torch": "0.1"}, fingerprint=ours)
    with pytest.raises(FolderError, match=rf"began with torch 0\.1 \(this is {re.escape(now['torch'])}\)"):
        check_folder(other, CONFIG, fingerprint=ours)


def test_a_config_changed_in_the_folder_is_refused_and_a_lost_one_is_put_back(tmp_path):
    open_folder(tmp_path, CONFIG)
    (tmp_path / "config.toml").write_text("other")
    with pytest.raises(FolderError, match=r"config\.toml was changed after the study began"):
        open_folder(tmp_path, CONFIG)
    (tmp_path / "config.toml").unlink()
    open_folder(tmp_path, CONFIG)
    assert (tmp_path / "config.toml").read_bytes() == CONFIG.encode()


@pytest.mark.parametrize("name", ["thesis.doc", "config.toml", "a.tmp", ".a.tmp", "runs"])
def test_a_folder_with_anything_else_in_it_is_refused_untouched(tmp_path, name):
    (tmp_path / name).write_text(CONFIG if name == "config.toml" else "precious")
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(FolderError, match=rf"not empty and holds no study \({name}\); choose another --out"):
        open_folder(tmp_path, CONFIG)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_damage_and_newer_schemas_of_the_study_are_refused(tmp_path):
    open_folder(tmp_path, CONFIG)
    file = tmp_path / "study.json"
    text = file.read_text()
    file.write_text(text[:-10])
    with pytest.raises(FolderError, match=r"study\.json is damaged or cut short"):
        open_folder(tmp_path, CONFIG)
    file.write_text(json.dumps(json.loads(text) | {"schema": 2}))
    with pytest.raises(FolderError, match="upgrade dropkit"):
        open_folder(tmp_path, CONFIG)


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path, below):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(FolderError, match="is a file or lies in one, not a folder"):
        open_folder(file / below, CONFIG)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(FolderError, match="cannot make folder /proc/dropkit"):
        open_folder("/proc/dropkit", CONFIG)
    if os.geteuid() == 0:  # root may write anywhere but in such a place
        return
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match="cannot write"):
        open_folder(tmp_path, CONFIG)


def test_leftovers_of_a_killed_writer_are_swept_but_not_while_another_study_works(tmp_path):
    open_folder(tmp_path, CONFIG)
    left = [tmp_path / ".study.json.1.tmp", tmp_path / "runs" / ".a--1.json.22.tmp"]
    left += [tmp_path / "timing" / ".a--1.json.22.tmp", tmp_path / "checkpoints" / "a--1.pt.tmp"]
    kept = tmp_path / "checkpoints" / "a--1.pt"
    for path in [*left, kept]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    code = (
        "import sys; from dropkit.records import lock, open_folder\n"
        "with lock(sys.argv[1]):\n print(flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    holder.stdout.readline()
    with pytest.raises(FolderError, match=rf"process {holder.pid}\)"):
        open_folder(tmp_path, CONFIG)
    assert all(path.exists() for path in left)
    holder.communicate()
    with lock(tmp_path):
        open_folder(tmp_path, CONFIG)
    assert not any(path.exists() for path in left)
    assert kept.exists()


STEPS = ["config.toml.tmp", "config.toml", "study.json.tmp", "study.json"]


@pytest.mark.parametrize("step", STEPS)
def test_a_study_killed_while_its_folder_was_made_can_begin_again(tmp_path, step):
    """Kill at each write: before and after the renaming of each of the two files."""
    code = """
import os, sys
from dropkit.records import open_folder
step, replace = sys.argv[2], os.replace
def spy(fresh, path):
    if step == os.path.basename(path) + ".tmp":
        os.kill(os.getpid(), 9)
    replace(fresh, path)
    if step == os.path.basename(path):
        os.kill(os.getpid(), 9)
os.replace = spy
open_folder(sys.argv[1], "x")
"""
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out"), step])
    assert died.returncode == -9
    open_folder(tmp_path / "out", "x", versions={})
    assert set(content(tmp_path / "out")) == {"config.toml", "study.json"}
