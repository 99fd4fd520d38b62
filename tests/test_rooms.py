"""The import contract: data flows one way, and a room imports only rooms above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "dropkit"

MODEL_ROOMS = ["core", "random", "ops", "nn", "objectives", "surgery"]
MAY_IMPORT = {
    "core": [],
    "stats": ["core"],
    "random": ["core"],
    "ops": MODEL_ROOMS[:2],
    "nn": MODEL_ROOMS[:3],
    "objectives": MODEL_ROOMS[:4],
    "surgery": MODEL_ROOMS[:4],
    "adapters": ["core", "random", "surgery"],
    "infer": [*MODEL_ROOMS, "stats"],
    "explain": [*MODEL_ROOMS, "stats", "infer"],
    "zoo": ["core"],
    "train": ["core", "random", "stats"],
    "records": ["core"],
    "study": [*MODEL_ROOMS, "stats", "infer", "explain", "zoo", "train", "records"],
    "report": ["core", "stats", "records"],
    "app": [*MODEL_ROOMS, "stats", "infer", "explain", "zoo", "train", "records", "study", "report"],
    "cli": [*MODEL_ROOMS, "stats", "infer", "explain", "zoo", "train", "records", "study", "report", "app"],
}
MAY_IMPORT["cli"].append("_catalogue")  # fills the registry from the rooms that hold variants
FRONT = {
    "dropkit",
    "dropkit._catalogue",
    "dropkit._run_study",
    "dropkit.__main__",
}  # what users import, over all rooms


def imported(source: str, module: str) -> set[str]:
    """Return the dropkit modules that ``source``, the text of ``module``, imports anywhere."""
    package = module.split(".")
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            found |= {f"{name}.{alias.name}" if name == "dropkit" else name for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "import_module",
            "__import__",
        ):
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return {name for name in found if name.split(".")[0] == "dropkit"}


def violations(package: Path) -> list[str]:
    """Return a line for each import that the contract forbids."""
    wrong = []
    for file in sorted(package.rglob("*.py")):
        module = ".".join(("dropkit", *file.relative_to(package).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        if module in FRONT:
            continue
        room = module.split(".")[1]
        for name in sorted(imported(file.read_text(), module)):
            other = [*name.split("."), ""][1]
            if other != room and other not in MAY_IMPORT.get(room, []) and name != "dropkit.__version__":
                wrong.append(f"{module} imports {name}")
    return wrong


def test_no_room_imports_a_room_below_it():
    assert violations(PACKAGE) == []


def test_every_room_is_in_the_contract():
    rooms = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert rooms <= set(MAY_IMPORT)
    assert {"core", "random", "ops", "nn", "surgery", "stats", "study"} <= rooms


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "from dropkit.random import stream"),
        ("core", "import dropkit.nn as above"),
        ("ops", "from dropkit import nn"),
        ("train", "from ..surgery import Plan"),
        ("report", "def f():\n    from dropkit.zoo.models import mlp"),
        ("stats", "from importlib import import_module\nimport_module('dropkit.ops')"),
        ("zoo", "from dropkit import plan"),
        ("utils", "from dropkit.core import check_rate"),
    ],
)
def test_a_planted_violation_is_caught(room, line, tmp_path):
    (tmp_path / room).mkdir()
    (tmp_path / room / "bad.py").write_text(line + "\n")
    assert len(violations(tmp_path)) == 1


def test_what_is_allowed_passes(tmp_path):
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "good.py").write_text(
        "import torch\nfrom dropkit.core import check_rate\nfrom dropkit.ops.reference import select\n"
        "from dropkit import random\nfrom . import reference\n"
    )
    assert violations(tmp_path) == []
