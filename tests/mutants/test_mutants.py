"""Deliberate faults: each must turn some test red, or the tests prove less than they seem to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import of_infer, of_nn, of_ops, of_other_rooms, of_random

ROOT = Path(__file__).parent.parent.parent

MUTANTS = [*of_random.MUTANTS, *of_ops.MUTANTS, *of_nn.MUTANTS, *of_infer.MUTANTS, *of_other_rooms.MUTANTS]


def test_every_mutant_fits_the_code():
    for file, old, new, test in MUTANTS:
        assert old in (ROOT / "src" / "dropkit" / file).read_text(), (
            f"{file}: write the mutant of {old!r} anew"
        )
        assert old != new
        assert (ROOT / "tests" / test).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("file", "old", "new", "test"), MUTANTS, ids=lambda v: v if "/" in v else "")
def test_the_fault_is_seen(file, old, new, test, tmp_path):
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    victim = tmp_path / "src" / "dropkit" / file
    text = victim.read_text()
    assert old in text, "this mutant no longer fits the code; write it anew"
    victim.write_text(text.replace(old, new))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout[-2000:]
    assert " failed" in result.stdout.splitlines()[-1], result.stdout[-2000:]  # red, not broken
