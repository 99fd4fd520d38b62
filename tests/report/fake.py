"""Folders of studies that were never run, but look like it."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dropkit import stats
from dropkit.records import (
    Answers,
    CandidateResult,
    Epoch,
    Picture,
    PlanResult,
    PredictionRecord,
    Results,
    RunRecord,
    Timing,
    VarianceRatioResult,
    open_folder,
    prediction_path,
    results_path,
    run_path,
    timing_path,
    write_json,
)

VERSIONS = {"python": "3.11.7", "dropkit": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"}
LEVELS = {"none": 0.0240, "hidden": 0.0150, "input-hidden": 0.0132}


@dataclass
class Fake:
    """What to make up."""

    levels: dict[str, float] = field(default_factory=lambda: dict(LEVELS))  # plan -> level of the metric
    seeds: int = 10
    epochs: int = 100
    task: str = "classification"
    metric: str = "error"
    name: str = "digits"
    diverged: tuple[tuple[str, int], ...] = ()
    failed: tuple[tuple[str, int], ...] = ()
    missing: tuple[tuple[str, int], ...] = ()
    grid: dict[str, float] = field(default_factory=dict)  # rate -> penalty, for the last plan
    classes: int = 10
    results: bool = True
    predictions: bool = False  # what the baseline and the first other plan say at seed 0
    images: bool = True
    root: int = 0

    def config(self) -> str:
        """Return the configuration."""
        lines = [
            "schema = 1",
            f'name = "{self.name}"',
            f"seeds = {self.seeds}",
            f'baseline = "{next(iter(self.levels))}"',
            f'metric = "{self.metric}"',
            "",
            "[data]",
            'name = "digits"',
            "",
            "[model]",
            'name = "mlp"',
            "widths = [512, 512]",
            "",
            "[train]",
            'optimizer = "sgd"',
            "lr = 0.1",
            f"epochs = {self.epochs}",
        ]
        for index, plan in enumerate(self.levels):
            rate = list(self.grid) if self.grid and index == len(self.levels) - 1 else 0.5
            rules = "[]" if index == 0 else f'[{{ at = "hidden", variant = "dropout", rate = {rate} }}]'
            lines += ["", f'[plans."{plan}"]', f"rules = {rules}"]
        return "\n".join(lines) + "\n"

    def candidates(self) -> dict[str, tuple[str, float]]:
        """Return plan and level of each candidate."""
        found = {}
        for index, (plan, level) in enumerate(self.levels.items()):
            if self.grid and index == len(self.levels) - 1:
                found |= {f"{plan}@{rate}": (plan, level + extra) for rate, extra in self.grid.items()}
            else:
                found[plan] = (plan, level)
        return found

    def write(self, folder: Path) -> Path:
        """Write the folder and return it."""
        open_folder(folder, self.config(), versions=VERSIONS)
        for index, (candidate, (_, level)) in enumerate(self.candidates().items()):
            for seed in range(self.seeds):
                if (candidate, seed) not in self.missing:
                    write_json(run_path(folder, candidate, seed), self._run(candidate, index, level, seed))
                    write_json(timing_path(folder, candidate, seed), self._timing(candidate, index, seed))
            if self.predictions:
                write_json(prediction_path(folder, candidate, 0), self._predictions(candidate, index))
        if self.results:
            write_json(results_path(folder), self._results(folder))
        return folder

    def _predictions(self, candidate: str, index: int) -> PredictionRecord:
        rng, count = self._rng(9, index), 300
        hard = rng.beta(0.4, 2.0, count)
        if self.task == "regression":
            plain = Answers(
                loss=(hard**2).tolist(),
                level=np.sqrt(hard).tolist(),
                metrics={"rmse": 0.5, "mae": 0.4, "r2": 0.8, "log_likelihood": -1.25},
            )
            sampled = plain.model_copy(update={"uncertainty": {"sd": (hard + rng.random(count)).tolist()}})
            label = []
        else:
            label = rng.integers(self.classes, size=count)
            wrong = rng.random(count) < hard * 0.6
            plain = Answers(
                loss=wrong.astype(float).tolist(),
                predicted=((label + wrong) % self.classes).tolist(),
                confidence=(1 - 0.7 * hard).tolist(),
                uncertainty={"entropy": (2 * hard).tolist()},
                metrics={"accuracy": float(1 - wrong.mean()), "nll": 0.2, "brier": 0.1, "ece": 0.02},
            )
            soft = {"entropy": (2 * hard).tolist(), "mutual information": (hard * rng.random(count)).tolist()}
            sampled = plain.model_copy(update={"uncertainty": soft})
            label = label.tolist()
        order = np.argsort(hard)
        rows = sorted({*order[:8].tolist(), *order[-8:].tolist()})
        shown = rows if index and self.images and self.task == "classification" else []
        return PredictionRecord(
            plan=candidate,
            seed=0,
            members=50 if index else 0,
            label=label,
            plain=plain,
            sampled=sampled if index else None,
            pictures=[
                Picture(
                    row=row,
                    height=6,
                    width=5,
                    channels=3,
                    pixels=base64.b64encode(rng.integers(256, size=90, dtype=np.uint8).tobytes()).decode(),
                )
                for row in shown
            ],
        )

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.root, *key])

    def _run(self, candidate: str, index: int, level: float, seed: int) -> RunRecord:
        if (candidate, seed) in self.failed:
            return RunRecord(
                plan=candidate,
                seed=seed,
                status="failed",
                epochs=[],
                error="Traceback (most recent call last):\n  File ...\nMemoryError: out of memory",
            )
        lost = (candidate, seed) in self.diverged
        common, own = self._rng(seed).normal(), self._rng(seed, index).normal()
        final = level * (1 + 0.08 * common + 0.08 * own)
        noise = self._rng(seed, index, 1)
        epochs = []
        for epoch in range(1, 8 if lost else self.epochs + 1):
            decay = np.exp(-epoch / (4 + 2 * index))
            val = (final + 0.3 * decay) * (1 + 0.05 * noise.normal() * (0.3 + decay))
            train = (0.15 * final * index + 0.32 * decay) * (1 + 0.05 * noise.normal())
            epochs.append(
                Epoch(epoch=epoch, train=self._metrics(max(train, 0.0)), val=self._metrics(max(val, 0.0)))
            )
        if lost:
            return RunRecord(
                plan=candidate, seed=seed, status="diverged", epochs=epochs, error="the loss became NaN"
            )
        test = self._metrics(final)
        if self.task == "classification":
            recall = np.clip(1 - final * noise.gamma(2, 0.5, self.classes), 0, 1).tolist()
            test["per_class"] = {"precision": recall, "recall": recall, "f1": recall}
        return RunRecord(plan=candidate, seed=seed, status="ok", epochs=epochs, test=test)

    def _metrics(self, error: float) -> dict[str, object]:
        error = float(error)
        if self.task == "regression":
            return {
                "loss": error**2,
                "rmse": error,
                "mae": 0.8 * error,
                "r2": 1 - error**2,
                "nll": 1.4 + error,
            }
        return {
            "loss": 3.2 * error + 0.001,
            "accuracy": 1 - error,
            "error": error,
            "nll": 3.2 * error + 0.001,
            "brier": 1.6 * error,
            "ece": 0.5 * error,
            "macro_f1": 1 - 1.02 * error,
        }

    def _timing(self, candidate: str, index: int, seed: int) -> Timing:
        step = 1.1e-3 * (1 + 0.22 * index) * (1 + 0.03 * self._rng(seed, index, 2).normal())
        return Timing(
            plan=candidate,
            seed=seed,
            seconds=1300 * step + 0.5,
            step_seconds=step,
            host="x86_64, 2 cores",
            started="2026-01-05T10:00:00+00:00",
            finished="2026-01-05T10:00:04+00:00",
        )

    def _results(self, folder: Path) -> Results:
        from dropkit.records import load_runs

        runs = load_runs(folder)
        baseline, *others = self.levels
        chosen = {plan: plan for plan in self.levels}
        if self.grid:
            best_rate = min(self.grid, key=self.grid.get)
            chosen[others[-1]] = f"{others[-1]}@{best_rate}"
        ok = {
            plan: {s: r for (c, s), r in runs.items() if c == name and r.status == "ok"}
            for plan, name in chosen.items()
        }
        larger = stats.LARGER_IS_BETTER[self.metric]
        pairs = {}
        for plan in others:
            shared = [seed for seed in ok[plan] if seed in ok[baseline]]
            if len(shared) >= 2:
                pairs[plan] = tuple(
                    [ok[name][seed].test[self.metric] for seed in shared] for name in (baseline, plan)
                )
        found = stats.compare_pairs(
            pairs, larger_is_better=larger, baseline_name=baseline, metric=self.metric
        )
        sign = -1 if larger else 1
        rows = {plan: self._row(plan, chosen[plan], ok, runs, found.get(plan)) for plan in self.levels}
        best = min(found, key=lambda plan: sign * rows[plan].validation, default=None)
        whole = best is not None and not self.diverged and not self.failed and not self.missing
        return Results(
            baseline=baseline,
            best=best,
            metric=self.metric,
            verdict=found[best].verdict if whole else "incomplete",
            plans=rows,
            name=self.name,
            task=self.task,
            larger_is_better=larger,
            alpha=0.05,
            resplit=False,
            seeds=list(range(self.seeds)),
            sentence=found[best].sentence
            if whole
            else "Incomplete, no verdict: runs failed, diverged or are missing.",
            warnings=list(found[best].warnings) if whole else [],
            class_names=[f"digit {i}" for i in range(self.classes)]
            if self.task == "classification"
            else None,
        )

    def _row(self, plan, name, ok, runs, comparison) -> PlanResult:
        tests = [run.test[self.metric] for run in ok[plan].values()]
        mine = [run for (candidate, _), run in runs.items() if candidate == name]
        values = {
            "mean": float(np.mean(tests)) if tests else None,
            "sd": float(np.std(tests, ddof=1)) if len(tests) > 1 else None,
            "n": len(tests),
            "seeds": list(ok[plan]),
            "values": tests,
            "diverged": sum(run.status == "diverged" for run in mine),
            "failed": sum(run.status == "failed" for run in mine),
            "validation": float(np.mean([run.epochs[-1].val[self.metric] for run in ok[plan].values()]))
            if tests
            else None,
            "gap": float(
                np.mean([r.epochs[-1].train[self.metric] - r.test[self.metric] for r in ok[plan].values()])
            )
            if tests
            else None,
        }
        if name != plan:
            values["chosen"] = name
            values["candidates"] = {
                f"{plan}@{rate}": CandidateResult(validation=self.levels[plan] + extra, n=self.seeds)
                for rate, extra in self.grid.items()
            }
        if comparison is None:
            baseline = plan == next(iter(self.levels))
            return PlanResult(**values, verdict=None if baseline else "incomplete")
        for field_name in ("difference", "low", "high", "level", "p", "p_adjusted", "p_permutation", "min_p", "bca",
                           "mde", "mde_low", "mde_high", "degenerate", "verdict", "sentence"):  # fmt: skip
            values[field_name] = getattr(comparison, field_name)
        base = next(iter(ok.values()))
        shared = [seed for seed in ok[plan] if seed in base]
        if len(shared) > 2:
            spread = stats.variance_ratio(
                [base[s].test[self.metric] for s in shared], [ok[plan][s].test[self.metric] for s in shared]
            )
            values["variance_ratio"] = VarianceRatioResult(
                ratio=spread.ratio, low=spread.low, high=spread.high, p=spread.p
            )
        return PlanResult(**values, warnings=list(comparison.warnings))
