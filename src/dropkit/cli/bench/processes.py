"""Asking a fresh process for a measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# For glibc: give no memory back to the system, so that what is allocated next needs no new pages.
KEEP_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 40),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


class Failed(Exception):
    """A measuring process ended with an error; the text is its last line."""


def ask(module: str, *arguments: str, threads: int = 1, keep_pages: bool = False) -> Any:
    """Run ``python -m module arguments`` with ``threads`` threads; return the JSON of its last line.

    Args:
        module: With a ``__main__`` part that prints JSON.
        arguments: For it.
        threads: For torch, from the start.
        keep_pages: Let the process keep the memory that it frees.

    Raises:
        Failed: It ended with an error.
    """
    environment = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    if keep_pages:
        environment |= KEEP_PAGES
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
