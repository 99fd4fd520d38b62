"""Foreign images: mutual information, entropy and max-softmax as detectors, on nets pretrained and trained here."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit import stats, zoo
from dropkit.train import TrainConfig, fit

HERE = Path(__file__).parent
USPS_MEAN, USPS_SD = 0.2471, 0.2994  # as USPSNet was trained


def usps_net() -> nn.Module:
    """Return ccexam's USPSNet with its weights; its module is loaded alone, as the package needs torchvision."""
    spec = importlib.util.find_spec("ccexam")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps ccexam")
    folder = Path(spec.origin).parent
    source = importlib.util.spec_from_file_location("ccexam_models", folder / "models.py")
    assert source is not None
    assert source.loader is not None
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    model: nn.Module = module.USPSNet(16)
    saved = torch.load(folder / "weights" / "usps.pth", map_location="cpu", weights_only=True)
    model.load_state_dict(saved.get("model_state_dict", saved.get("state_dict", saved)))
    return model.eval()


def framed_as_usps(images: Tensor) -> Tensor:
    """Return digits ``(N, 1, 28, 28)`` as USPS has them: cut out and stretched to the whole of 16 x 16."""
    rows = []
    for image in images:
        ys, xs = torch.nonzero(image[0] > 0.2, as_tuple=True)
        cut = image[None, :, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        rows.append(F.interpolate(cut, (16, 16), mode="bilinear", align_corners=False, antialias=True))
    return torch.cat(rows)


def as_they_are(images: Tensor) -> Tensor:
    """Return images ``(N, 1, 28, 28)`` at 16 x 16, margins included."""
    return F.interpolate(images, (16, 16), mode="bilinear", align_corners=False, antialias=True)


def scores(model: nn.Module, x: Tensor, members: int, seed: int) -> dict[str, np.ndarray]:
    """Return what is larger where the model is less sure: of one pass, and of sampled members."""
    with torch.inference_mode():
        p = torch.cat([model(part).double().softmax(1) for part in x.split(500)])
    answer = dk.predict(model, x, members=members, seed=seed, task="classification")
    return {
        "max_softmax": 1 - p.amax(1).numpy(),
        "entropy": -(p * p.clamp_min(1e-300).log()).sum(1).numpy(),
        "mutual_information": answer.mutual_information.double().numpy(),
        "sampled_max_softmax": 1 - answer.mean.double().amax(1).numpy(),
        "sampled_entropy": answer.entropy.double().numpy(),
        "expected_entropy": answer.expected_entropy.double().numpy(),
        "right": p.argmax(1).numpy(),
    }


def compared(own: dict[str, np.ndarray], foreign: dict[str, np.ndarray], resamples: int) -> dict[str, Any]:
    """Return every score's measures, with bootstrap intervals over images."""
    rows = {}
    for name in own:
        if name == "right":
            continue
        found = stats.detection(foreign[name], own[name])
        bounds = stats.detection_interval(foreign[name], own[name], resamples=resamples)
        rows[name] = {
            key: {"value": value, "interval": bounds[key]} for key, value in found._asdict().items()
        }
    return rows


def over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare every score with max-softmax of one pass, paired by seed."""
    rows: dict[str, Any] = {}
    for measure in ("auroc", "aupr", "fpr95"):
        columns = {name: [run[name][measure]["value"] for run in runs] for name in runs[0]}
        base = columns.pop("max_softmax")
        found = stats.compare_many(base, columns, larger_is_better=measure != "fpr95")
        rows[measure] = {"max_softmax": {"mean": float(np.mean(base)), "values": base}} | {
            name: {"mean": float(np.mean(columns[name])), "values": columns[name], **row.to_dict()}
            for name, row in found.items()
        }
    return rows


def first(dataset: Any, count: int) -> tuple[Tensor, Tensor]:
    """Return the first images and labels of a part."""
    x, y = next(iter(DataLoader(dataset, batch_size=count)))
    return x, y


def pretrained(settings: dict[str, Any], mnist: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """USPSNet: digits framed as its own against the same digits as MNIST has them."""
    model, (images, labels) = usps_net(), mnist
    own, foreign = ((part(images) - USPS_MEAN) / USPS_SD for part in (framed_as_usps, as_they_are))
    runs, right = [], []
    for seed in range(settings["seeds"]):
        found = [scores(model, x, settings["members"], seed) for x in (own, foreign)]
        right = [float((part["right"] == labels.numpy()).mean()) for part in found]
        runs.append(compared(*found, settings["resamples"]))
    return {
        "accuracy": {"framed as USPS": right[0], "as MNIST": right[1]},
        "over_masks": over_seeds(runs),
        "seed_0": runs[0],
    }


def trained(settings: dict[str, Any], mnist: zoo.Data, clothes: Tensor) -> dict[str, Any]:
    """Nets trained on MNIST: digits against clothes."""
    own = settings["mnist"]
    config = TrainConfig.from_dict(own["fit"])
    digits, labels = first(mnist.test, settings["images"])
    train, val = (TensorDataset(*first(part, len(part))) for part in (mnist.train, mnist.val))
    nll: dict[str, list[float]] = {}
    found: dict[str, list[Any]] = {}
    for rate in own["rates"]:
        key = f"{rate:g}"
        for seed in range(settings["seeds"]):
            torch.manual_seed(seed)
            model = nn.Sequential(
                *(nn.Flatten(), nn.Linear(784, own["width"]), nn.ReLU(), nn.Dropout(rate)),
                *(
                    nn.Linear(own["width"], own["width"]),
                    nn.ReLU(),
                    nn.Dropout(rate),
                    nn.Linear(own["width"], 10),
                ),
            )
            done = fit(model, train, val, config, task="classification", seed=seed)
            nll.setdefault(key, []).append(done.epochs[-1]["val"]["nll"])
            model.eval()
            ours, theirs = (scores(model, x, settings["members"], seed) for x in (digits, clothes))
            right = float((ours["right"] == labels.numpy()).mean())
            found.setdefault(key, []).append(
                {"right": right, "run": compared(ours, theirs, settings["resamples"])}
            )
            print(
                key,
                seed,
                nll[key][-1],
                right,
                found[key][-1]["run"]["mutual_information"]["auroc"],
                flush=True,
            )
    chosen = min(nll, key=lambda key: float(np.mean(nll[key])))
    return {
        "validation_nll": {key: float(np.mean(values)) for key, values in nll.items()},
        "chosen_rate": float(chosen),
        "accuracy": {key: [run["right"] for run in runs] for key, runs in found.items()},
        "over_seeds": {key: over_seeds([run["run"] for run in runs]) for key, runs in found.items()},
        "seed_0": {key: runs[0]["run"] for key, runs in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = tomllib.loads((HERE / "config.toml").read_text())
    own = settings["mnist"]
    mnist = zoo.load_data("mnist", subset=own["train"] + own["val"], val=own["val"])
    clothes = first(zoo.load_data("fashion-mnist").test, settings["images"])[0]
    result = {"settings": settings}
    result["usps"] = pretrained(settings, first(mnist.test, settings["images"]))
    print(json.dumps(result["usps"]["accuracy"]), file=sys.stderr)
    result["fashion"] = trained(settings, mnist, clothes)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
