"""Test error of one network trained with dropout: scaled weights against the mean of k thinned networks.

    python experiments/weight_scaling/run.py [--work DIR] [--out FILE]

DIR keeps the training, so that it can be broken off and continued.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader

import dropkit as dk
from dropkit import zoo
from dropkit.train import TrainConfig, fit

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/weight_scaling"))
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = tomllib.loads((HERE / "config.toml").read_text())
    seed = config["seed"]

    data = zoo.load_data(**config["data"])
    torch.manual_seed(dk.random.child_seed(seed, "weights"))
    model = zoo.build_model(**config["model"], input_shape=data.input_shape, outputs=data.outputs)
    dk.plan(model, [dk.Rule(**rule) for rule in config["rules"]]).apply(model)
    args.work.mkdir(parents=True, exist_ok=True)
    fit(
        model,
        data.train,
        data.val,
        TrainConfig(**config["train"]),
        task=data.task,
        seed=seed,
        on_epoch=lambda epoch, record: print(epoch, record["val"], flush=True),
        checkpoint=args.work / "checkpoint.pt",
    )

    labels = torch.stack([label for _, label in data.test])
    results = {"versions": {"torch": torch.__version__, "dropkit": dk.__version__}}
    for metric in ("error", "nll"):
        curve = dk.infer.scaling_curve(
            model.eval(),
            DataLoader(data.test, batch_size=500),
            labels,
            seed=seed,
            ks=config["ks"],
            repetitions=config["repetitions"],
            metric=metric,
        )
        results[metric] = asdict(curve)
        args.out.write_text(json.dumps(results, indent=1) + "\n")
        print(
            f"{metric}: {curve.scaled:.5f} with scaled weights, matched by k = {curve.matching}", flush=True
        )
        for k, mean, sd, groups in zip(curve.ks, curve.error, curve.sd, curve.groups, strict=True):
            print(f"k = {k}: {mean:.5f} (sd {sd:.5f} over {groups} groups)", flush=True)


if __name__ == "__main__":
    main()
