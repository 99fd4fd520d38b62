"""Monte-Carlo dropout on the UCI regression benchmark, every network of a data set in one batched program.

    python experiments/uci_mc_dropout/run.py --data DIR [--sets yacht energy] [--splits 20]

DIR is the authors' UCI_Datasets, which has a folder for each set. Sets that the
results already have are left alone; move results.json away to run all again.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import tomllib
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch
from batched import Batches, Single, Stack, Training, alone, evaluate
from tables import Parts, Table, load, standardised

import dropkit as dk

HERE = Path(__file__).parent
ROUNDS, STEPS, SINGLES = 30, 10, 6  # of the timing: rounds, steps in each, networks that train one by one


def trained(
    stack: Stack,
    parts: Parts,
    splits: list[int],
    of: torch.Tensor,
    taus: torch.Tensor,
    config: Any,
    name: str,
) -> None:
    """Train the networks; ``of`` says which split each learns from, ``taus`` its precision."""
    batches = Batches(parts.x, parts.y, splits, of, config["batch"], seed=config["seed"])
    training = Training(stack, decay(stack, parts, taus, config), config["lr"])
    began = time.perf_counter()
    for epoch in range(1, config["epochs"] + 1):
        for x, y in batches.epoch():
            training.step(x, y)
        if epoch % 200 == 0:
            print(f"{name}: epoch {epoch} after {time.perf_counter() - began:.0f} s", flush=True)


def decay(stack: Stack, parts: Parts, taus: torch.Tensor, config: Any) -> torch.Tensor:
    keep = 1.0 - torch.tensor(stack.rates)
    return config["lengthscale"] ** 2 * keep / (2.0 * parts.x.shape[1] * taus)


def run_set(table: Table, splits: list[int], config: Any) -> dict[str, Any]:
    name, seed, features = table.name, config["seed"], table.x.shape[1]
    began = time.perf_counter()

    # choose rate and tau of each split by the log-likelihood of the last rows of its training part
    rows = [table.rows("train", split) for split in splits]
    cut = int((1.0 - config["validation"]) * len(rows[0]))
    parts = standardised(table, [(train[:cut], train[cut:]) for train in rows])
    grid = [(rate, tau, place) for rate in table.rates for tau in table.taus for place in range(len(splits))]
    of, taus = torch.tensor([place for *_, place in grid]), torch.tensor([tau for _, tau, _ in grid])
    numbers = [
        (table.rates.index(rate) * len(table.taus) + table.taus.index(tau)) * table.splits + splits[place]
        for rate, tau, place in grid
    ]
    stack = Stack([rate for rate, *_ in grid], numbers, features, config["hidden"], seed=seed)
    speed = timing(stack, parts, splits, of, taus, config)
    print(f"{name}: batched {speed['times_faster']:.1f} times faster than one by one", flush=True)
    stack = Stack(stack.rates, numbers, features, config["hidden"], seed=seed)
    trained(stack, parts, splits, of, taus, config, f"{name}, choosing")
    precision = taus * parts.std[of].square()
    _, likelihood = evaluate(stack, parts.other_x[of], parts.other_y[of], precision, config["members"])
    scores = (likelihood.mean(dim=1) - parts.std[of].log()).view(-1, len(splits))
    best = scores.argmax(dim=0).tolist()
    chosen = sorted(
        (*grid[i * len(splits)][:2], place, splits[place]) for place, i in enumerate(best)
    )  # by rate

    # train once more with the chosen pair, on the whole training part; then look at the test part
    parts = standardised(table, [(table.rows("train", s), table.rows("test", s)) for s in splits])
    taus = torch.tensor([tau for _, tau, *_ in chosen])
    of = torch.tensor([place for _, _, place, _ in chosen])
    again = dk.random.child_seed(seed, "again")
    stack = Stack(
        [rate for rate, *_ in chosen], [split for *_, split in chosen], features, config["hidden"], seed=again
    )
    trained(stack, parts, splits, of, taus, config, f"{name}, again")
    found = {
        split: {"rate": rate, "tau": tau} | tested(alone(stack, m), parts, place, tau, config)
        for m, (rate, tau, place, split) in enumerate(chosen)
    }
    per_split = [found[split] for split in splits]
    return {
        "splits": splits,
        "train_rows": len(rows[0]),
        "networks": len(grid),
        "rmse": summary([one["rmse"] for one in per_split]),
        "rmse_scaled_weights": summary([one["rmse_scaled_weights"] for one in per_split]),
        "log_likelihood": summary([one["log_likelihood"] for one in per_split]),
        "per_split": per_split,
        "speed": speed,
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }


def tested(model: torch.nn.Module, parts: Parts, place: int, tau: float, config: Any) -> dict[str, float]:
    """Return what one network is worth on the test part of its split, in the units of the target."""
    x, y, std = parts.other_x[place], parts.other_y[place, :, None], float(parts.std[place])
    prediction = dk.predict(
        model.eval(),
        x,
        members=config["members"],
        seed=config["seed"],
        share_masks=False,
        task="regression",
        keep_members=True,
    )
    with torch.inference_mode():
        scaled = model(x)
    likelihood = prediction.log_likelihood(y, noise=1.0 / (tau * std**2)).double().mean() - math.log(std)
    return {
        "rmse": float((prediction.mean - y).double().square().mean().sqrt()) * std,
        "rmse_scaled_weights": float((scaled - y).double().square().mean().sqrt()) * std,
        "log_likelihood": float(likelihood),
    }


def timing(
    stack: Stack, parts: Parts, splits: list[int], of: torch.Tensor, taus: torch.Tensor, config: Any
) -> dict[str, float]:
    """Time steps of the batched program and of some of its networks one by one, in turns, by the processor's clock."""
    batches = Batches(parts.x, parts.y, splits, of, config["batch"], seed=config["seed"]).epoch()
    rates = decay(stack, parts, taus, config)
    together = Training(stack, rates, config["lr"])
    every = max(1, len(stack.rates) // SINGLES)
    singles = [Single(stack, m, rates[m], config["lr"]) for m in range(0, len(stack.rates), every)]
    ratios, seconds = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        for i in range(STEPS):
            together.step(*batches[i % len(batches)])
        batched = (time.process_time() - began) / STEPS
        began = time.process_time()
        for single in singles:
            for i in range(STEPS):
                x, y = batches[i % len(batches)]
                single.step(x[single.m], y[single.m])
        one = (time.process_time() - began) / STEPS / len(singles)
        seconds.append((batched, one))
        ratios.append(one * len(stack.rates) / batched)
    ratios.sort()
    return {
        "times_faster": median(ratios),
        "times_faster_low": ratios[ROUNDS // 10],
        "times_faster_high": ratios[-1 - ROUNDS // 10],
        "batched_step_ms": 1e3 * median(batched for batched, _ in seconds),
        "single_step_ms": 1e3 * median(one for _, one in seconds),
    }


def summary(values: list[float]) -> dict[str, float]:
    """Return mean and standard error over splits, the latter with one degree of freedom less."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": mean(values), "standard_error": error, "median": median(values)}


def reached(found: dict[str, Any], authors: dict[str, float]) -> dict[str, Any]:
    """Say whether the authors' figures were reached: RMSE within 2 of our standard errors, likelihood within 0.05."""
    rmse, likelihood = found["rmse"], found["log_likelihood"]
    return {
        **authors,
        "rmse_reached": rmse["mean"] <= authors["rmse"] + 2.0 * rmse["standard_error"],
        "log_likelihood_reached": likelihood["mean"] >= authors["log_likelihood"] - 0.05,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the authors' UCI_Datasets")
    parser.add_argument("--sets", nargs="+", help="default: all of the config")
    parser.add_argument("--splits", type=int, help="only the first so many")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--members", type=int)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = tomllib.loads((HERE / "config.toml").read_text())
    authors = config.pop("authors")
    config |= {key: value for key in ("epochs", "members") if (value := getattr(args, key)) is not None}
    results = json.loads(args.out.read_text()) if args.out.exists() else {"config": config, "sets": {}}
    if results["config"] != config:
        parser.error(f"{args.out} is of another config; move it away")
    for name in args.sets or authors:
        if name in results["sets"]:
            continue
        table = load(args.data, name)
        found = run_set(table, list(range(args.splits or table.splits)), config)
        found["authors"] = reached(found, authors[name])
        results["sets"][name] = found
        results["versions"] = {"torch": torch.__version__, "dropkit": dk.__version__}
        args.out.write_text(json.dumps(results, indent=1) + "\n")
        print(name, found["rmse"], found["log_likelihood"], found["authors"], flush=True)


if __name__ == "__main__":
    main()
