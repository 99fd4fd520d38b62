"""Jobs on worker processes: one fresh process a job, one thread each, none of which outlives its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any, Protocol, TypeVar

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>

Job = TypeVar("Job")
JobIn = TypeVar("JobIn", contravariant=True)
Send = Callable[[Any], None]


class Watcher(Protocol[JobIn]):
    """What the scheduler tells about a job, in the parent, in this order."""

    def started(self, job: JobIn) -> None:
        """Its process is there."""

    def told(self, job: JobIn, message: Any) -> None:
        """It sent ``message``."""

    def ended(self, job: JobIn, error: str | None) -> None:
        """It returned, or ``error`` says why it did not."""


@dataclass
class _Worker:
    """A job under way."""

    job: Any
    process: multiprocessing.process.BaseProcess
    connection: Connection
    done: bool = False
    error: str | None = None


def run_jobs(
    jobs: Sequence[Job],
    target: Callable[[Job, Send], None],
    watcher: Watcher[Job],
    *,
    workers: int,
    preload: Iterable[str] = (),
    method: str | None = None,
) -> None:
    """Call ``target(job, send)`` for every job, each in a process of its own, at most ``workers`` at a time.

    A job that raises, or whose process dies, is reported and the others go on. If this call ends early, by Ctrl-C
    too, its workers are ended first; if this process dies, they end by themselves.

    Args:
        jobs: Started in this order. Picklable.
        target: An importable function; what it sends goes to the watcher.
        watcher: Called in this process.
        workers: Processes at a time, ``>= 1``.
        preload: Modules that workers should find already imported, where the platform can do it.
        method: How processes are started; default: ``"forkserver"`` on Linux, else ``"spawn"``.
    """
    context = _context(method, preload)
    waiting, running = list(reversed(jobs)), list[_Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start(context, target, waiting.pop()))
                watcher.started(running[-1].job)
            open_ends = [worker.connection for worker in running if not worker.connection.closed]
            ready = wait([*open_ends, *(worker.process.sentinel for worker in running)])
            for worker in list(running):
                _listen(worker, watcher)
                if worker.process.sentinel in ready:
                    _listen(worker, watcher)  # what it said between the first look and its end
                    running.remove(worker)
                    watcher.ended(worker.job, _verdict(worker))
    finally:
        for worker in running:
            worker.process.kill()
        for worker in running:
            worker.process.join()
            worker.connection.close()


def _context(method: str | None, preload: Iterable[str]) -> Any:
    method = method or ("forkserver" if sys.platform == "linux" else "spawn")
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(preload))
    return context


def _start(context: Any, target: Callable[..., None], job: Any) -> _Worker:
    connection, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(target, job, theirs))
    with _one_thread(), _without_main():
        process.start()
    theirs.close()  # so that the worker's end is the only one, and its death can be seen
    return _Worker(job, process, connection)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes started here use one thread: more of them on busy cores are many times slower."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide ``__main__``: workers need nothing of it, and a script without a main guard must not run again in them."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _listen(worker: _Worker, watcher: Watcher[Any]) -> None:
    """Take in everything the worker has sent so far."""
    try:
        while not worker.connection.closed and worker.connection.poll():
            kind, content = worker.connection.recv()
            if kind == "told":
                watcher.told(worker.job, content)
            else:
                worker.done, worker.error = True, content
    except (EOFError, OSError):
        worker.connection.close()


def _verdict(worker: _Worker) -> str | None:
    worker.process.join()
    worker.connection.close()
    if worker.done:
        return worker.error
    code = worker.process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        hint = "; it may have run out of memory" if -code == signal.SIGKILL else ""
        return f"the worker process was ended by {name}{hint}"
    return f"the worker process ended with exit code {code} before its run was over"


def _work(target: Callable[[Any, Send], None], job: Any, connection: Connection) -> None:
    """Do one job; the whole life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    os.dup2(2, 1)  # what a job prints is not the parent's result
    _end_with_parent()

    def say(kind: str, content: Any) -> None:
        try:
            connection.send((kind, content))
        except OSError:  # nobody is there to hear it
            os._exit(1)

    error = None
    try:
        target(job, lambda message: say("told", message))
    except Exception as problem:
        error = "".join(traceback.format_exception(problem))
    say("done", error)


def _end_with_parent() -> None:
    """Make sure that this process does not outlive its parent, however that one ends.

    The sentinel is the read end of a pipe that only the parent holds open, so it works under every start method. On
    Linux the kernel also ends this process with the one that forked it, which may be the fork server.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
