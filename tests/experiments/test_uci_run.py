"""experiments/uci_mc_dropout: from a folder of the authors' layout to results."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "uci_mc_dropout"
ROWS, TRAIN, SPLITS = 40, 30, 2


@pytest.fixture
def root(tmp_path, seed):
    """A set with a column that says the target, one that says nothing and one that never changes."""
    rng = np.random.default_rng(seed)
    folder = tmp_path / "yacht" / "data"
    folder.mkdir(parents=True)
    x = rng.normal(3.0, 2.0, size=(ROWS, 2))
    table = np.column_stack([x, np.full(ROWS, 7.0), 5.0 * x[:, 0] + 100.0])
    files = {
        "data": table,
        "index_features": [0, 1, 2],
        "index_target": [3],
        "dropout_rates": [0.1, 0.01],
        "tau_values": [0.5, 0.1],
        "n_splits": [SPLITS],
    }
    for split in range(SPLITS):
        order = rng.permutation(ROWS)
        files |= {f"index_train_{split}": order[:TRAIN], f"index_test_{split}": order[TRAIN:]}
    for name, values in files.items():
        np.savetxt(folder / f"{name}.txt", values)
    return tmp_path


@pytest.fixture
def tables():
    found = importlib.util.spec_from_file_location("uci_tables", FOLDER / "tables.py")
    module = importlib.util.module_from_spec(found)
    sys.modules["uci_tables"] = module
    found.loader.exec_module(module)
    return module


def run(root, *options):
    command = [sys.executable, FOLDER / "run.py", "--data", root, "--sets", "yacht", "--out", root / "r.json"]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("inner", [True, False], ids=["as published", "without the inner folder"])
def test_parts_are_standardised_by_what_is_learned_from(tables, root, inner):
    if not inner:
        (root / "yacht" / "data").rename(root / "flat")
        (root / "yacht").rmdir()
        (root / "flat").rename(root / "yacht")
    table = tables.load(root, "yacht")
    assert (table.rates, table.taus, table.splits) == ([0.01, 0.1], [0.1, 0.5], SPLITS)
    pairs = [(table.rows("train", split), table.rows("test", split)) for split in range(SPLITS)]
    parts = tables.standardised(table, pairs)
    assert parts.x.shape == (SPLITS, TRAIN, 3)
    assert parts.other_y.shape == (SPLITS, ROWS - TRAIN)
    for split, (train, test) in enumerate(pairs):
        assert set(train) | set(test) == set(range(ROWS))
        np.testing.assert_allclose(parts.x[split, :, :2].mean(0), 0.0, atol=1e-5)
        np.testing.assert_allclose(parts.x[split, :, :2].numpy().std(0), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(parts.x[split, :, 2], 0.0)
        assert float(parts.y[split].std(correction=0)) == pytest.approx(1.0, rel=1e-5)
        back = parts.other_y[split].numpy() * float(parts.std[split]) + table.y[train].mean()
        np.testing.assert_allclose(back, table.y[test], rtol=1e-5)


def test_it_runs_and_keeps_what_it_has(root):
    few = ["--epochs", "3", "--members", "20"]
    done = run(root, *few)
    assert done.returncode == 0, done.stderr
    results = json.loads((root / "r.json").read_text())
    found = results["sets"]["yacht"]
    assert (found["splits"], found["networks"]) == ([0, 1], 8)
    for split in found["per_split"]:
        assert (split["rate"], split["tau"]) in {(r, t) for r in (0.1, 0.01) for t in (0.1, 0.5)}
        assert split["rmse"] > 0
    assert found["rmse"]["mean"] == pytest.approx(np.mean([split["rmse"] for split in found["per_split"]]))
    before = (root / "r.json").read_bytes()
    assert run(root, *few).returncode == 0
    assert (root / "r.json").read_bytes() == before
    other = run(root, "--epochs", "4")
    assert other.returncode == 2
    assert "another config" in other.stderr
