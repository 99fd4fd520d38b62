"""Instructions an element, counted by valgrind: a figure that a busy machine does not change.

The counted process, ``python -m dropkit.cli.bench.instructions``, says when it is ready and waits: counting is
switched on only then, so that importing torch is not part of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from dropkit.core import InputError

ELEMENTS, CALLS = 1 << 18, 4
KERNELS = ("avx2", "portable")  # valgrind knows no AVX-512
_TOOLS = ("valgrind", "callgrind_control")


class ToolError(InputError, OSError):
    """Valgrind is missing, or cannot do its work."""


def available() -> bool:
    """Whether valgrind is installed."""
    return all(shutil.which(tool) for tool in _TOOLS)


def count(kernels: str) -> float:
    """Return the instructions an element of ``dropkit.ops.dropout``, forward, fp32, at rate 0.5.

    Args:
        kernels: Which kernels to count, as ``DROPKIT_KERNELS`` takes them.

    Raises:
        ToolError: Valgrind is missing, or the counted process failed.
    """
    if not available():
        raise ToolError(
            "counting instructions needs valgrind, which is not installed; apt-get install valgrind"
        )
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "dropkit.cli.bench.instructions"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "DROPKIT_KERNELS": kernels},
        )
        try:
            if process.stdout is not None and process.stdout.readline().strip() == "ready":
                switch = ["callgrind_control", "-i", "on", str(process.pid)]
                subprocess.run(switch, capture_output=True, check=True)
            _, errors = process.communicate("go\n")
        finally:
            process.kill()
        total = re.search(r"^totals: (\d+)", out.read_text(), re.M) if out.exists() else None
        if process.returncode or total is None or int(total[1]) == 0:
            raise ToolError(
                f"counting instructions failed: {errors.strip()[-300:] or 'valgrind counted none'}"
            )
        return int(total[1]) / (ELEMENTS * CALLS)


def _counted() -> None:
    """Do what is counted, and end without the interpreter's own end."""
    import torch

    from dropkit.ops import dropout
    from dropkit.random import stream

    torch.set_num_threads(1)
    x = torch.ones(ELEMENTS)
    with stream(1):
        dropout(x, 0.5, training=True)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(CALLS):
            dropout(x, 0.5, training=True)
    os._exit(0)


if __name__ == "__main__":
    _counted()
