"""The scheduler, with jobs that do nothing, misbehave, or never end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropkit.study.schedule import run_jobs
from tests.study import jobs

ROOT = Path(__file__).parents[2]
PRELOAD = [
    "dropkit.study.run",
    "torch._dynamo",
]  # as a study does: all tests of a session share a fork server


class Log:
    """A watcher that remembers."""

    def __init__(self):
        self.open, self.most_open, self.messages, self.ends = set(), 0, {}, {}

    def started(self, job):
        self.open.add(job)
        self.most_open = max(self.most_open, len(self.open))

    def told(self, job, message):
        assert job in self.open
        self.messages.setdefault(job, []).append(message)

    def ended(self, job, error):
        self.open.remove(job)
        self.ends[job] = error


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_each_job_has_a_process_of_its_own_with_one_thread(method, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    log, before = Log(), dict(os.environ)
    run_jobs([1, 2], jobs.echo, log, workers=1, preload=PRELOAD, method=method)
    assert log.ends == {1: None, 2: None}
    assert [log.messages[job][1] for job in (1, 2)] == [("job", 1), ("job", 2)]
    assert len({log.messages[job][0][1] for job in (1, 2)} | {os.getpid()}) == 3
    assert {log.messages[job][0][2] for job in (1, 2)} == {"1"}
    assert log.most_open == 1
    assert dict(os.environ) == before


def test_jobs_run_side_by_side_but_no_more_than_asked_for():
    log = Log()
    run_jobs([1, 2, 3, 4, 5], jobs.echo, log, workers=3, preload=PRELOAD)
    assert log.ends == dict.fromkeys([1, 2, 3, 4, 5])
    assert log.most_open == 3


def test_a_job_that_fails_is_reported_and_the_others_go_on():
    log = Log()
    run_jobs(["raise", "kill", "exit", "fine"], jobs.misbehave, log, workers=2, preload=PRELOAD)
    assert log.ends["raise"].splitlines()[-1] == "ZeroDivisionError: the third batch is empty"
    assert "SIGKILL" in log.ends["kill"]
    assert "memory" in log.ends["kill"]
    assert "exit code 3" in log.ends["exit"]
    assert log.ends["fine"] is None
    assert log.messages == {"fine": ["fine"]}


def test_an_exception_here_ends_the_workers(tmp_path):
    class Impatient(Log):
        def told(self, job, message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([str(tmp_path)], jobs.wait_for_ever, Impatient(), workers=1, preload=PRELOAD)
    (pid,) = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not alive(pid))


SCRIPT = """
import sys
from dropkit.study.schedule import run_jobs
from tests.study import jobs
from tests.study.test_schedule import Log
quiet = type("Quiet", (Log,), {{"ended": print}})()
run_jobs([sys.argv[1]] * 2, jobs.wait_for_ever, quiet, workers=2, preload=["dropkit.study.run"], method={method!r})
"""


@pytest.mark.parametrize(
    ("method", "blow"),
    [("forkserver", signal.SIGKILL), ("forkserver", signal.SIGTERM), ("spawn", signal.SIGKILL)],
)
def test_no_worker_outlives_its_parent(tmp_path, method, blow):
    # A script without a main guard: workers must not run it again either.
    script, marks = tmp_path / "script.py", tmp_path / "marks"
    script.write_text(SCRIPT.format(method=method))
    marks.mkdir()
    parent = subprocess.Popen(
        [sys.executable, script, marks],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    try:
        wait_until(lambda: len(list(marks.iterdir())) == 2)
        pids = [int(path.name) for path in marks.iterdir()]
        assert all(alive(pid) for pid in pids)
    finally:
        parent.send_signal(blow)
    parent.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids))
