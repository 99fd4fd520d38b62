"""Asking a fresh process for a measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


class Failed(Exception):
    """A measuring process ended with an error; the text is its last line."""


def ask(module: str, *arguments: str, threads: int = 1) -> Any:
    """Run ``python -m module arguments`` with ``threads`` threads; return the JSON of its last line.

    Raises:
        Failed: It ended with an error.
    """
    environment = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()]
        raise Failed(last[-1] if last else f"the process ended with code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
