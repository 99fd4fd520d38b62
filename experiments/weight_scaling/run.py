"""Test error of one network trained with dropout: scaled weights against the mean of k thinned networks.

    python experiments/weight_scaling/run.py [--work DIR] [--out FILE]

DIR keeps the training, so that it can be broken off and continued.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import dropkit as dk
from dropkit import zoo
from dropkit.train import TrainConfig, fit

HERE = Path(__file__).parent
SHOWN = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100, 120)


def errors(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the share of wrong answers; probabilities (or their logarithms) ``(..., N, C)``."""
    return (probabilities.argmax(dim=-1) != labels).double().mean(dim=-1)


def one_repeat(
    model: nn.Module, test: Dataset[Any], labels: Tensor, members: int, seed: int
) -> dict[str, Tensor]:
    """Return measures for k = 1, 2, ... of the means of the first k members; every image has masks of its own."""
    prediction = dk.predict(
        model,
        DataLoader(test, batch_size=500),
        members=members,
        seed=seed,
        share_masks=False,
        task="classification",
        keep_members=True,
    )
    probabilities = prediction.members.double()
    count = torch.arange(1, members + 1)[:, None, None]
    arithmetic = probabilities.cumsum(dim=0) / count
    chosen = arithmetic.gather(-1, labels.expand(members, -1)[..., None]).squeeze(-1)
    return {
        "error": errors(arithmetic, labels),
        "error_geometric": errors(probabilities.clamp(min=1e-300).log().cumsum(dim=0), labels),
        "nll": -chosen.log().mean(dim=1),
    }


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

    x, labels = (torch.stack(column) for column in zip(*data.test, strict=True))
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in x.split(500)]).double()
    repeats = []
    for repeat in range(config["repeats"]):
        repeats.append(
            one_repeat(model, data.test, labels, config["members"], dk.random.child_seed(seed, f"{repeat}"))
        )
        print(repeat, {name: float(values[-1]) for name, values in repeats[-1].items()}, flush=True)
    found: dict[str, Any] = {
        "versions": {"torch": torch.__version__, "dropkit": dk.__version__},
        "weight_scaling": {
            "error": float(errors(logits, labels)),
            "nll": float(nn.functional.cross_entropy(logits, labels)),
        },
        "k": list(range(1, config["members"] + 1)),
    }
    for name in repeats[0]:
        values = torch.stack([repeat[name] for repeat in repeats])
        found[name] = {
            "mean": [round(value, 6) for value in values.mean(dim=0).tolist()],
            "sd": [round(value, 6) for value in values.std(dim=0).tolist()],
        }
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"scaled weights: {found['weight_scaling']}")
    for k in (k for k in SHOWN if k <= config["members"]):
        print(
            k,
            *(
                f"{name} {found[name]['mean'][k - 1]:.5f} ({found[name]['sd'][k - 1]:.5f})"
                for name in repeats[0]
            ),
        )


if __name__ == "__main__":
    main()
