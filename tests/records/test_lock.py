import os
import subprocess
import sys
import time

import pytest

from dropkit.core import FolderError
from dropkit.records import lock
from dropkit.records.lock import holds_lock

HOLD = """
import sys, time
from dropkit.records import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(folder, code=HOLD):
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_study_is_refused_with_the_first_ones_pid_until_that_dies(tmp_path):
    holder = start_holder(tmp_path)
    try:
        refusal = (
            rf"in use by another study \(process {holder.pid}\); wait for it to end, or choose another --out"
        )
        with pytest.raises(FolderError, match=refusal), lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_it_is_held_inside_the_block_only_also_against_this_process(tmp_path):
    assert not holds_lock(tmp_path)
    with lock(tmp_path):
        assert holds_lock(tmp_path)
        with pytest.raises(FolderError, match=rf"process {os.getpid()}\)"), lock(tmp_path):
            pass
        assert holds_lock(tmp_path)
    assert not holds_lock(tmp_path)
    with lock(tmp_path):
        pass


def test_it_is_released_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path):
        _ = 1 / 0
    with lock(tmp_path):
        pass


FORK = """
import os, sys, time
from dropkit.records import lock
with lock(sys.argv[1]):
    if os.fork() == 0:
        print("held", flush=True)
        time.sleep(60)
    os.wait()
"""
SPAWN = """
import subprocess, sys, time
from dropkit.records import lock
with lock(sys.argv[1]):
    child = subprocess.Popen([sys.executable, "-c", "import time; print('held', flush=True); time.sleep(60)"],
                             close_fds=False)
    child.wait()
"""


@pytest.mark.parametrize("code", [FORK, SPAWN])
def test_children_do_not_hold_it(tmp_path, code):
    holder = start_holder(tmp_path, code)
    children = _children(holder.pid)
    try:
        assert len(children) == 1
        holder.kill()
        holder.wait()
        deadline = time.monotonic() + 10
        while True:  # the kernel closes a killed process's files a moment after its end is reported
            try:
                with lock(tmp_path):
                    break
            except FolderError:
                assert time.monotonic() < deadline, "the child still holds the lock"
                time.sleep(0.05)
        os.kill(children[0], 0)  # raises if the child was not alive all the while
    finally:
        holder.stdout.close()
        for child in children:
            os.kill(child, 9)


def test_a_forked_child_that_leaves_the_block_disturbs_nothing(tmp_path):
    code = """
import os, sys
from dropkit.records import lock
from dropkit.core import FolderError
with lock(sys.argv[1]):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        assert open(sys.argv[1] + "/.lock").read() == f"{os.getpid()}\\n"
if child == 0:
    try:
        with lock(sys.argv[1]):
            sys.exit(3)
    except FolderError:
        sys.exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_a_folder_that_cannot_be_locked_is_named(tmp_path):
    with pytest.raises(FolderError, match=r"cannot write .*nowhere/\.lock"), lock(tmp_path / "nowhere"):
        pass
