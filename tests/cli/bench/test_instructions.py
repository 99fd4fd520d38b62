"""Instructions an element under callgrind: a regression shows here on a busy machine too."""

import pytest

from dropkit.cli.bench import instructions
from dropkit.ops import kernels

LIMIT = 7.0  # AVX2 takes 6.0: Philox, comparison, multiplication, store, 8 elements at a time


def test_without_valgrind_the_command_says_what_to_install(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install valgrind" in refused("bench", "--instructions")


@pytest.mark.skipif(not instructions.available(), reason="valgrind is not installed")
@pytest.mark.skipif("avx2" not in kernels.status().supported, reason="no AVX2 kernels here")
def test_the_kernel_takes_no_more_instructions_than_it_should():
    assert 1.0 < instructions.count("avx2") < LIMIT


@pytest.mark.slow
@pytest.mark.skipif(not instructions.available(), reason="valgrind is not installed")
@pytest.mark.skipif("portable" not in kernels.status().supported, reason="no native kernels here")
def test_the_count_tells_kernels_apart():
    assert instructions.count("portable") > 2 * LIMIT


@pytest.mark.slow
@pytest.mark.skipif(not instructions.available(), reason="valgrind is not installed")
def test_a_counted_process_that_fails_is_an_error():
    with pytest.raises(instructions.ToolError, match="frobnicate"):
        instructions.count("frobnicate")
