"""Every benchmark, one after the other, as the section "Measured" of README.md.

    python benchmarks/run_all.py             # print it
    python benchmarks/run_all.py --write     # and put it into README.md

Leave the machine alone meanwhile. Each script in this folder prints Markdown tables that state their threads; a new one
takes part by being here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from dropkit.cli.bench import machine

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
HEADING = "## Measured\n"
DROPKIT = [sys.executable, "-m", "dropkit.cli", "bench"]
OPTIONS = {"study_step.py": ["--study"]}


def commands() -> dict[str, list[str]]:
    """Return what is run, by title."""
    scripts = sorted(path for path in FOLDER.glob("*.py") if path != Path(__file__))
    return {
        "`dropkit bench`": [*DROPKIT, "--markdown"],
        "`dropkit bench --keep-pages`": [*DROPKIT, "--keep-pages", "--markdown"],
        "`dropkit bench --instructions`": [*DROPKIT, "--instructions", "--markdown"],
        **{
            f"`python benchmarks/{path.name}`": [sys.executable, str(path), *OPTIONS.get(path.name, [])]
            for path in scripts
        },
    }


def measured() -> str:
    """Run everything; return the section."""
    if text := machine.warning(machine.load()):
        print(f"warning: {text}", file=sys.stderr)
    found = machine.describe()
    parts = [
        HEADING,
        f"{found['processor']}, {found['cores']} cores, torch {found['torch']}, kernels {found['kernels']}, "
        f"{time.strftime('%Y-%m-%d')}.",
    ]
    for title, command in commands().items():
        print(f"{title} ...", file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        parts += [f"### {title}", done.stdout.strip()]
    return "\n\n".join(parts).replace(HEADING + "\n\n", HEADING + "\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Every benchmark, as a section of README.md.")
    parser.add_argument("--write", action="store_true", help="put it into README.md")
    options = parser.parse_args()
    section = measured()
    print(section)
    if options.write:
        text = README.read_text(encoding="utf-8")
        README.write_text(text[: text.index(HEADING)] + section, encoding="utf-8")


if __name__ == "__main__":
    main()
