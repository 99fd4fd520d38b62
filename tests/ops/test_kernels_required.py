"""Where the native kernels are required, as in CI, their absence fails: they are optional everywhere else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dropkit.ops import kernels

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("DROPKIT_REQUIRE_KERNELS", "0") not in ("", "0")


@pytest.mark.skipif(not REQUIRED, reason="DROPKIT_REQUIRE_KERNELS is not set: the kernels are optional here")
def test_the_kernels_are_there():
    assert kernels.status().supported != ("reference",), kernels.status().reason


def test_ci_requires_them():
    assert "DROPKIT_REQUIRE_KERNELS=1 make test" in (ROOT / ".ci" / "run").read_text()


def test_without_them_the_check_fails_and_says_why(tmp_path):
    built = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=built)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"{__file__}::test_the_kernels_are_there",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src"), "DROPKIT_REQUIRE_KERNELS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout[-2000:]
    assert "the extension was not built" in done.stdout
