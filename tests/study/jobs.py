"""Jobs for the scheduler's tests; worker processes import them from here."""

import os
import signal
import sys
import time
from pathlib import Path


def echo(job, send):
    send(("pid", os.getpid(), "OMP_NUM_THREADS" in os.environ and os.environ["OMP_NUM_THREADS"]))
    send(("job", job))


def misbehave(job, send):
    """Jobs: ``raise``, ``kill``, ``exit``, ``quiet``; anything else is done properly."""
    if job == "raise":
        raise ZeroDivisionError("the third batch is empty")
    if job == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "exit":
        sys.exit(3)
    send(job)


def wait_for_ever(job, send):
    """Leave this process's id in the folder ``job`` and never end."""
    Path(job, str(os.getpid())).touch()
    send("there")
    while True:
        time.sleep(0.01)
