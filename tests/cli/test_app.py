"""The command as a whole: fast to answer, and one line for wrong usage."""

import os
import subprocess
import sys
import time

import pytest

COMMANDS = (["study"], ["compare"], ["report"], ["catalogue"], ["data", "fetch"], ["bench"], ["version"])

HEAVY = """
import sys
{}
print(sorted(sys.modules.keys() & {{"torch", "pydantic", "scipy", "numpy", "sklearn"}}))
"""
HELP = """
from dropkit.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code
"""


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "code", ["import dropkit", "import dropkit.cli", HELP], ids=["package", "cli", "help"]
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    assert python(HEAVY.format(code)).splitlines()[-1] == "[]"


def test_the_check_for_heavy_imports_can_fail():
    assert "torch" in python(HEAVY.format("import dropkit; dropkit.nn"))


def test_help_answers_in_half_a_second():
    times = []
    for _ in range(5):  # the machine may be busy: its best time is the command's own
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dropkit.cli", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_help_lists_every_command(dropkit):
    answer = dropkit("--help")
    assert answer.code == 0
    for command in COMMANDS:
        assert f"\n  {command[0]} " in answer.out
    assert dropkit().out == answer.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(dropkit, command):
    answer = dropkit(*command, "--help")
    assert answer.code == 0
    assert f"Example: dropkit {' '.join(command)}" in " ".join(answer.out.split())
    assert "--json" in answer.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["studdy"], "studdy"),
        (["--frobnicate"], "--frobnicate"),
        (["study", "--worker", "2"], "--worker"),
        (["study", "--workers", "0"], "--workers"),
        (["study", "--workers", "two"], "--workers"),
        (["study", "--seeds", "x"], "--seeds"),
        (["study", "a.toml", "b.toml"], "b.toml"),
        (["compare", "a.csv"], "B"),
        (["report"], "DIR"),
        (["data"], "command"),
        (["data", "fetch"], "NAME"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_that_names_it(refused, arguments, word):
    assert word.lower() in refused(*arguments).lower()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["frobnicate"], "dropkit"),
        (["--versions"], "dropkit"),
        (["study", "--frobnicate"], "dropkit study"),
        (["data", "fetch"], "dropkit data fetch"),
    ],
)
def test_wrong_usage_points_at_help_that_exists(refused, dropkit, arguments, hint):
    assert refused(*arguments).endswith(f"(try: {hint} --help)\n")
    assert dropkit(*hint.split()[1:], "--help").code == 0


def test_a_locale_without_signs_gets_utf8():
    run = subprocess.run(
        [sys.executable, "-m", "dropkit.cli", "catalogue", "früh→"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert run.returncode == 2
    assert "früh→" in run.stderr.decode("utf-8")
