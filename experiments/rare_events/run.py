"""Rare events: dropout, a threshold chosen on validation, and abstention, on the CoIL 2000 insurance data."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import rdata
import torch
from torch import nn
from torch.utils.data import TensorDataset

import dropkit as dk
from dropkit import stats
from dropkit.train import TrainConfig, fit

HERE = Path(__file__).parent


def ticdata(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs ``(9822, 85)`` and whether a customer has a caravan policy.

    Columns of classes are replaced by the number of the class: theirs are ordered, but for the customer's type.
    """
    table = rdata.read_rda(str(path))["ticdata"]
    columns = [
        column.cat.codes.to_numpy(float) if hasattr(column, "cat") else column.to_numpy(float)
        for column in (table[name] for name in table.columns[:-1])
    ]
    return np.stack(columns, axis=1), (table[table.columns[-1]] == "insurance").to_numpy(int)


def network(inputs: int, width: int, rate: float) -> nn.Module:
    """Two hidden layers with dropout on both, and logits of the two classes."""
    return nn.Sequential(
        *(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(rate)),
        *(nn.Linear(width, width), nn.ReLU(), nn.Dropout(rate), nn.Linear(width, 2)),
    )


def split(y: np.ndarray, train: int, val: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows for training, validation and test, the last the same for every seed."""
    test = np.random.default_rng(0).permutation(len(y))[train + val :]
    rest = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(len(y)), test))
    return rest[:train], rest[train:], test


def one(x: np.ndarray, y: np.ndarray, settings: dict[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """Train one network and return its measures on validation and test."""
    parts = split(y, settings["train"], settings["val"], seed)
    mean, sd = x[parts[0]].mean(0), x[parts[0]].std(0)
    scaled = torch.from_numpy(((x - mean) / np.where(sd > 0, sd, 1.0)).astype(np.float32))
    labels = torch.from_numpy(y)
    train, val = (TensorDataset(scaled[part], labels[part]) for part in parts[:2])
    torch.manual_seed(seed)
    model = network(x.shape[1], settings["width"], rate)
    config = TrainConfig.from_dict(settings["fit"])
    done = fit(model, train, val, config, task="classification", seed=seed)
    model.eval()
    with torch.inference_mode():
        plain = [model(scaled[part]).softmax(1)[:, 1].double().numpy() for part in parts[1:]]
    found = {"epochs": done.best_epoch, "validation": {}, "test": {}}
    found["validation"]["scaling"], found["test"]["scaling"] = judged(*plain, y, parts, settings)
    if rate:
        answers = [
            dk.predict(model, scaled[part], members=settings["members"], seed=seed, task="classification")
            for part in parts[1:]
        ]
        scores = [answer.mean[:, 1].double().numpy() for answer in answers]
        found["validation"]["sampling"], found["test"]["sampling"] = judged(*scores, y, parts, settings)
        found["test"]["abstention"] = abstention(scores, answers, y, parts, settings)
    return found


def judged(
    val: np.ndarray, test: np.ndarray, y: np.ndarray, parts: Any, settings: dict[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the measures of scores, with the threshold that is best on validation."""
    miss = settings["false_negative"]
    chosen = stats.choose_threshold(val, y[parts[1]], false_negative=miss)
    rows = []
    for scores, labels in ((val, y[parts[1]]), (test, y[parts[2]])):
        rows.append(
            {
                "pr_auc": stats.average_precision(scores[labels == 1], scores[labels == 0]),
                "recall_at_precision": stats.recall_at_precision(scores, labels, settings["precision"]),
                "cost": stats.expected_cost(scores, labels, min(chosen.value, 2.0), false_negative=miss),
                "nll": float(-np.log(np.clip(np.where(labels == 1, scores, 1 - scores), 1e-12, None)).mean()),
            }
        )
    return rows[0], rows[1]


def abstention(
    scores: list[np.ndarray], answers: list[Any], y: np.ndarray, parts: Any, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the cost among the customers that are answered, when the least sure ones are left to a person."""
    miss, labels = settings["false_negative"], y[parts[2]]
    chosen = stats.choose_threshold(scores[0], y[parts[1]], false_negative=miss)
    said = scores[1] >= chosen.value
    loss = np.where(labels == 1, np.where(said, 0.0, miss), said.astype(float))
    uncertainty = {
        "entropy": answers[1].entropy.double().numpy(),
        "mutual_information": answers[1].mutual_information.double().numpy(),
        "near_the_threshold": -np.abs(scores[1] - chosen.value),
    }
    found: dict[str, Any] = {"all": float(loss.mean())}
    for name, values in uncertainty.items():
        curve = stats.risk_coverage(values, loss)
        at = {
            f"{share:g}": float(np.interp(share, curve.coverage, curve.risk))
            for share in settings["coverages"]
        }
        found[name] = {"aurc": stats.aurc(values, loss), "cost_at_coverage": at}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="ticdata.rda")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = tomllib.loads((HERE / "config.toml").read_text())
    x, y = ticdata(given.data)
    seeds = range(settings["seeds"])
    runs: dict[str, list[Any]] = {}
    for rate in settings["rates"]:
        runs[f"{rate:g}"] = [one(x, y, settings, rate, seed) for seed in seeds]
        print(rate, np.mean([run["test"]["scaling"]["pr_auc"] for run in runs[f"{rate:g}"]]), flush=True)
    given.out.write_text(json.dumps(summary(settings, y, runs), indent=1) + "\n")


def summary(settings: dict[str, Any], y: np.ndarray, runs: dict[str, list[Any]]) -> dict[str, Any]:
    """Choose the rate on validation; compare it with no dropout, seed by seed."""
    on_validation = {
        rate: float(np.mean([run["validation"]["scaling"]["pr_auc"] for run in found]))
        for rate, found in runs.items()
        if float(rate)
    }
    chosen = max(on_validation, key=on_validation.__getitem__)
    measures = ("pr_auc", "recall_at_precision", "cost", "nll")

    def column(rate: str, how: str, name: str) -> list[float]:
        return [run["test"][how][name] for run in runs[rate]]

    comparisons = {}
    for name in measures:
        ways = {how: column(chosen, how, name) for how in ("scaling", "sampling")}
        base = column("0", "scaling", name)
        better = name in ("pr_auc", "recall_at_precision")
        rows = stats.compare_many(base, ways, larger_is_better=better)
        comparisons[name] = {"none": {"mean": float(np.mean(base)), "values": base}} | {
            how: {"mean": float(np.mean(ways[how])), "values": ways[how], **row.to_dict()}
            for how, row in rows.items()
        }
    return {
        "settings": settings,
        "cases": {"all": len(y), "events": int(y.sum())},
        "validation_pr_auc": on_validation,
        "chosen_rate": float(chosen),
        "test": comparisons,
        "abstention": _abstaining([run["test"]["abstention"] for run in runs[chosen]]),
        "runs": runs,
    }


def _abstaining(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare, seed by seed, the cost at each coverage with that of answering everybody."""
    everybody = [run["all"] for run in found]
    rows: dict[str, Any] = {"everybody": float(np.mean(everybody))}
    for name in found[0]:
        if name == "all":
            continue
        ways = {
            share: [run[name]["cost_at_coverage"][share] for run in found]
            for share in found[0][name]["cost_at_coverage"]
        }
        compared = stats.compare_many(everybody, ways)
        rows[name] = {
            "aurc": float(np.mean([run[name]["aurc"] for run in found])),
            "cost_at_coverage": {
                share: {"mean": float(np.mean(ways[share])), **row.to_dict()}
                for share, row in compared.items()
            },
        }
    return rows


if __name__ == "__main__":
    main()
