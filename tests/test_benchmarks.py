"""The scripts in ``benchmarks/``: each starts, and all of them together make the section of the README."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.fixture
def run_all(tmp_path, monkeypatch):
    """The script as a module, with two commands of no duration and a README of its own."""
    found = importlib.util.spec_from_file_location("run_all", FOLDER / "run_all.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    monkeypatch.setattr(
        module,
        "commands",
        lambda: {f"`{word}`": [sys.executable, "-c", f"print('| {word} |')"] for word in ("one", "two")},
    )
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    return module


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_starts_and_explains_itself(name):
    done = subprocess.run(
        [sys.executable, FOLDER / name, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_all_scripts_are_run():
    found = importlib.util.spec_from_file_location("run_all", FOLDER / "run_all.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    run = {part.rpartition("/")[2] for command in module.commands().values() for part in command}
    assert set(SCRIPTS) - {"run_all.py"} <= run
    assert sum("bench" in command for command in module.commands().values()) == 3


def test_the_section_replaces_the_old_one_and_leaves_the_rest(run_all, monkeypatch, capsys):
    run_all.README.write_text("# Benchmarks\n\nText.\n\n## Measured\n\nold\n")
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--write"])
    run_all.main()
    text = run_all.README.read_text()
    assert text.startswith("# Benchmarks\n\nText.\n\n## Measured\n\n")
    assert "old" not in text
    assert "### `one`\n\n| one |\n\n### `two`\n\n| two |\n" in text
    assert text.removeprefix("# Benchmarks\n\nText.\n\n") in capsys.readouterr().out


def test_the_readme_has_the_section():
    assert (FOLDER / "README.md").read_text().count("## Measured\n") == 1
