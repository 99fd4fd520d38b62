"""``kill -9`` and Ctrl-C at random moments: nothing is lost, nothing is left behind, no byte differs."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dropkit as dk
from dropkit.study import config_text, load_config
from tests.study.small import study
from tests.study.test_schedule import alive, wait_until

ROOT = Path(__file__).parents[2]
TABLES = study(
    seeds=3,
    model={"name": "tests.study.factories:net", "seconds": 0.004},  # a run of half a second
    train={"epochs": 8, "batch": 8},
)


def _heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores it


def start(config, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "dropkit.cli", "study", config, "--out", folder, "--workers", "2", "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # all its processes are then known by their session
        preexec_fn=_heed_interrupts,
    )


def members(session):
    """Return the processes of a session that are alive, but for multiprocessing's resource tracker."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if fields[3] == str(session) and alive(int(entry.name)) and b"resource_tracker" not in line:
            found.append(int(entry.name))
    return found


def runs(folder):
    return {path.name: path.read_bytes() for path in (folder / "runs").glob("*.json")}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The configuration as a file, and the runs of a study that nothing disturbed."""
    place = tmp_path_factory.mktemp("unbroken")
    (place / "config.toml").write_text(config_text(load_config(TABLES)))
    dk.run_study(TABLES, out=place / "study", workers=2)
    return place / "config.toml", runs(place / "study")


def interrupt(config, folder, blow, delay):
    """Start the study, and strike ``delay`` seconds after its folder appeared. Return the process."""
    process = start(config, folder)
    wait_until(lambda: (folder / "study.json").exists() or process.poll() is not None)
    time.sleep(delay)
    process.send_signal(blow)
    return process


def check_resume(unbroken, folder, moments):
    config, expected = unbroken
    struck = 0
    for delay in moments:
        process = interrupt(config, folder, signal.SIGKILL, delay)
        process.communicate()
        wait_until(lambda session=process.pid: not members(session))
        struck += process.returncode == -signal.SIGKILL
        assert runs(folder).items() <= expected.items()
    assert struck > 0
    last = start(config, folder)
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert json.loads(out)["verdict"] != "incomplete"
    assert runs(folder) == expected
    assert not list(folder.rglob("*.tmp"))


def test_killed_at_random_moments_it_ends_with_the_same_bytes(unbroken, tmp_path, seed):
    draw = random.Random(seed)
    check_resume(unbroken, tmp_path / "study", [draw.uniform(0.0, 2.5) for _ in range(3)])


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(20))
def test_killed_at_one_of_twenty_moments(unbroken, tmp_path, seed, moment):
    check_resume(unbroken, tmp_path / "study", [random.Random(f"{seed} {moment}").uniform(0.0, 1.5)])


def test_ctrl_c_ends_it_cleanly_and_it_can_go_on(unbroken, tmp_path):
    config, expected = unbroken
    process = interrupt(config, tmp_path / "study", 0, 0.0)
    wait_until(lambda: len(runs(tmp_path / "study")) >= 1 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "goes on from there" in err.splitlines()[-1]
    wait_until(lambda: not members(process.pid))
    check_resume_only(config, tmp_path / "study", expected)


def check_resume_only(config, folder, expected):
    dk.run_study(config, out=folder, workers=2)
    assert runs(folder) == expected
