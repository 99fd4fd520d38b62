"""The content of a study's files. Keys that are not listed here are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from dropkit.records.names import check_plan_name

#: Version of the schema that this dropkit writes, and the newest that it reads.
SCHEMA = 1

#: Metrics by name. None stands for a value that is not finite; ``per_class`` holds a list for each measure.
Metrics = dict[str, float | dict[str, list[float | None]] | None]

PlanName = Annotated[str, AfterValidator(check_plan_name)]
Seed = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Verdict = Literal["helped", "hurt", "no difference"]


class Part(BaseModel):
    """An object without any other keys."""

    model_config = ConfigDict(
        extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class File(Part):
    """A whole file: its first field says which version of the schema it follows."""

    schema_: Literal[1] = Field(default=1, alias="schema")


class Fingerprint(Part):
    """What a study's runs depend on beside its configuration; all digests are SHA-256 in hexadecimal.

    Args:
        data: Of the examples in the training, validation and test part of the first seed.
        model: Of the initial weights of the first seed: names, shapes, dtypes and values.
        sources: Of the source of each module that holds a factory of the user's, by the module's name.
    """

    data: Digest
    model: Digest
    sources: dict[str, Digest] = {}


class StudyInfo(File):
    """``study.json``: what the folder belongs to.

    Args:
        config_sha256: Digest of ``config.toml``, lower-case hexadecimal.
        versions: Of Python and of the packages that decide the results, at the study's beginning.
        fingerprint: Of data and model at the study's beginning. Absent from the file if None, as in folders of old.
    """

    config_sha256: Digest
    versions: dict[str, str]
    fingerprint: Fingerprint | None = None

    @model_serializer(mode="wrap")
    def _leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.fingerprint is None:
            del values["fingerprint"]
        return values


class Epoch(Part):
    """Metrics after one epoch, in evaluation mode.

    Args:
        epoch: Counted from 1.
        train: On the training part.
        val: On the validation part.
    """

    epoch: int = Field(ge=1)
    train: Metrics
    val: Metrics


class RunRecord(File):
    """``runs/<plan>--<seed>.json``: one run. Nothing in it depends on time or host.

    Args:
        plan: Name of the plan, or of the candidate where rates are a grid (``hidden@0.3``).
        seed: Root seed of the run.
        status: ``"ok"``; ``"diverged"``: the loss became NaN or infinite; ``"failed"``: an error stopped it.
        epochs: One record for each complete epoch.
        test: Metrics on the test part, touched once at the end; empty unless ``ok``.
        error: Why it failed or diverged, else None.
        best_epoch: Epoch whose weights were tested, where that is not the last. Absent from the file if None.
    """

    plan: PlanName
    seed: Seed
    status: Literal["ok", "diverged", "failed"]
    epochs: list[Epoch]
    test: Metrics = {}
    error: str | None = None
    best_epoch: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        numbers = [epoch.epoch for epoch in self.epochs]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError(f"epochs must be numbered 1, 2, 3, ..., got {numbers[:5]}")
        if self.status == "ok" and not self.test:
            raise ValueError('status "ok" needs test metrics, got none')
        if self.best_epoch is not None and self.best_epoch > len(numbers):
            raise ValueError(f"best_epoch must be one of the {len(numbers)} epochs, got {self.best_epoch}")
        return self

    @model_serializer(mode="wrap")
    def _leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.best_epoch is None:
            del values["best_epoch"]
        return values


class Timing(File):
    """``timing/<plan>--<seed>.json``: what differs between equal runs.

    Args:
        plan: As in the run.
        seed: As in the run.
        seconds: Wall-clock time of the run; of its last session, if it was interrupted.
        step_seconds: Median time of a training step, or None without one.
        host: Name or description of the machine.
        started: Date and time, ISO 8601.
        finished: Date and time, ISO 8601.
    """

    plan: PlanName
    seed: Seed
    seconds: float | None
    step_seconds: float | None
    host: str
    started: str
    finished: str


class CandidateResult(Part):
    """One point of a plan's grid of rates.

    Args:
        validation: Mean of the metric on validation over the seeds, or None if no run got there.
        n: Seeds behind it.
    """

    validation: float | None
    n: Count


class VarianceRatioResult(Part):
    """Spread across seeds: variance with the plan over variance without, on the test part.

    Args:
        ratio: Estimate; below 1 the plan is the steadier one.
        low: Lower limit of its interval.
        high: Upper limit.
        p: Two-sided p of equal variances.
    """

    ratio: float | None
    low: float | None
    high: float | None
    p: float | None


class PlanResult(Part):
    """One plan's row of ``results.json``; the baseline has no difference and what follows from it.

    Args:
        mean: Mean of the metric on the test part over the seeds.
        sd: Standard deviation of it across seeds (ddof = 1).
        difference: Mean of plan - baseline over the paired seeds.
        low: Lower limit of its interval, at the Holm level.
        high: Upper limit.
        p: Two-sided p of the paired t-test, or of the corrected resampled one.
        p_adjusted: After Holm's correction over the plans; the verdict rests on it.
        mde: Effect detectable with power 0.8.
        verdict: ``"helped"``, ``"hurt"``, ``"no difference"``, ``"incomplete"``, or None for the baseline.
        diverged: Seeds at which it diverged.
        failed: Seeds at which it failed.
        n: Pairs behind the difference; for the baseline, runs behind the mean.
        seeds: The seeds of those.
        values: Metric on the test part for each of ``seeds``.
        validation: Mean of the metric on validation, by which the best plan is chosen.
        gap: Mean generalisation gap of the metric, train minus test.
        level: Nominal coverage of ``low`` to ``high``.
        difference_sd: Standard deviation of the differences.
        p_permutation: Exact sign-flip p.
        min_p: Least value that it can take.
        bca: Bootstrap interval of the difference, informative only.
        mde_low: ``mde`` at the lower limit of the sd's interval.
        mde_high: ``mde`` at its upper limit.
        degenerate: All differences are equal and not 0.
        variance_ratio: Is training steadier?
        sentence: The comparison in one sentence.
        warnings: What a reader should know before relying on it.
        chosen: Candidate that validation chose, where the plan has a grid of rates.
        candidates: All of them by name.
    """

    mean: float | None
    sd: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    mde: float | None = None
    verdict: Verdict | Literal["incomplete"] | None = None
    diverged: Count = 0
    failed: Count = 0
    n: Count | None = None
    seeds: list[Seed] | None = None
    values: list[float | None] | None = None
    validation: float | None = None
    gap: float | None = None
    level: float | None = None
    difference_sd: float | None = None
    p_permutation: float | None = None
    min_p: float | None = None
    bca: tuple[float | None, float | None] | None = None
    mde_low: float | None = None
    mde_high: float | None = None
    degenerate: bool = False
    variance_ratio: VarianceRatioResult | None = None
    sentence: str | None = None
    warnings: list[str] = []
    chosen: str | None = None
    candidates: dict[str, CandidateResult] | None = None


class Results(File):
    """``results.json``: the study's answer.

    Args:
        baseline: Plan that the others are compared with.
        best: Plan that is best on validation, the baseline excluded, or None if there is none to choose.
        metric: What is compared.
        verdict: That of ``best``; ``"incomplete"`` if runs are missing from the comparison.
        plans: A row for each plan.
        name: Of the study.
        task: ``"classification"`` or ``"regression"``.
        larger_is_better: Direction of the metric.
        alpha: Level of the decision over all plans.
        resplit: Whether each seed has a split of its own.
        test_train_ratio: Size of the test part over that of the training part, where splits overlap.
        seeds: Of the study.
        sentence: The answer in one sentence that can be quoted.
        warnings: What a reader should know before relying on it.
        class_names: Of a classification, where known.
    """

    baseline: str
    best: str | None
    metric: str
    verdict: Verdict | Literal["incomplete"]
    plans: dict[PlanName, PlanResult]
    name: str | None = None
    task: Literal["classification", "regression"] | None = None
    larger_is_better: bool | None = None
    alpha: float | None = None
    resplit: bool | None = None
    test_train_ratio: float | None = None
    seeds: list[Seed] | None = None
    sentence: str | None = None
    warnings: list[str] = []
    class_names: list[str] | None = None

    @model_validator(mode="after")
    def _names_are_plans(self) -> Results:
        for key, name in (("baseline", self.baseline), ("best", self.best)):
            if name is not None and name not in self.plans:
                raise ValueError(f"{key} must be one of the plans ({', '.join(self.plans)}), got {name!r}")
        return self
