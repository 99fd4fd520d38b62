"""The configuration of a study: what a TOML file may say, and one line for each thing it may not."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dropkit.core import ConfigError, InputError, PlanError, unknown_name
from dropkit.records import check_plan_name
from dropkit.stats import LARGER_IS_BETTER
from dropkit.study import values
from dropkit.study.rates import rate_or_schedule
from dropkit.study.ready import ready_table, spelled_out

if TYPE_CHECKING:
    from dropkit.train import TrainConfig

BUILTIN = ("digits",)


class _Table(BaseModel):
    """A table of the file: strict types, immutable, and no key that it does not know."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and cls.model_config.get("extra") != "allow":
            values.refuse_unknown(value, [field.alias or name for name, field in cls.model_fields.items()])
        return value


class RuleConfig(_Table):
    """One rule of a plan, as :class:`dropkit.Rule`.

    A list as ``rate`` is a grid that validation chooses from; a table is a schedule.
    """

    at: Annotated[str | tuple[str, ...], BeforeValidator(values.places)]
    variant: str = "dropout"
    rate: Annotated[float | tuple[float, ...] | dict[str, Any] | None, BeforeValidator(rate_or_schedule)] = (
        None
    )
    except_: Annotated[str | tuple[str, ...], BeforeValidator(values.places_or_none)] = ()
    on: Literal["output", "input", "weight", "branch"] = "output"
    options: dict[str, Any] = {}
    override: bool = False


class OwnRateConfig(_Table):
    """A rate of dropout that the model already has, as :func:`dropkit.set_rate` sets it; a list is a grid."""

    at: Annotated[str | tuple[str, ...], BeforeValidator(values.places)] = "*"
    rate: Annotated[float | tuple[float, ...], BeforeValidator(values.rates)]


_Several = BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)


class PlanConfig(_Table):
    """A plan: the rules that are attached to the model, or a ready-made plan, and the rates of its own dropout.

    Without any of them the model is as it is.
    """

    ready: Annotated[dict[str, Any] | None, BeforeValidator(ready_table)] = None
    rules: Annotated[tuple[RuleConfig, ...], _Several]
    own_rates: Annotated[tuple[OwnRateConfig, ...], _Several] = ()

    @model_validator(mode="before")
    @classmethod
    def _ready(cls, value: Any) -> Any:
        return spelled_out(value)


class DataConfig(_Table):
    """Which data, and how it is split; the fields are the arguments of :func:`dropkit.zoo.load_data`."""

    name: str
    dir: str | None = None
    val: Annotated[int | float | None, BeforeValidator(values.size)] = None
    test: Annotated[int | float | None, BeforeValidator(values.size)] = None
    subset: Annotated[int | float | None, BeforeValidator(values.size)] = None
    split_seed: int = Field(0, ge=0, le=values.LAST_SEED)
    target: str | None = None
    task: Literal["classification", "regression"] | None = None


class ModelConfig(_Table):
    """Which model; every further key is an option of its builder."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Arguments for the builder."""
        return dict(self.model_extra or {})


class StudyConfig(_Table):
    """A whole study: plans times seeds on one model and one data set.

    Args:
        schema: Version of this format.
        name: Name of the study, for its report and its default folder.
        seeds: ``n`` for the seeds 0 to n - 1, or a list of different seeds.
        baseline: The plan that every other one is compared with.
        metric: The measure that is compared, and that validation chooses by.
        resplit: A new split for every seed, judged by the corrected resampled t-test.
        drop_diverged: Leave a seed at which a run diverged out on both sides of a comparison.
        keep_weights: Keep the final weights of every run, to predict with later.
        data: Table ``[data]``.
        model: Table ``[model]``.
        train: Table ``[train]``: the fields of :class:`dropkit.train.TrainConfig`.
        plans: Tables ``[plans.NAME]``, at least the baseline and one more.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    name: str = Field(min_length=1)
    seeds: Annotated[tuple[int, ...], BeforeValidator(values.seeds)]
    baseline: str
    metric: str
    resplit: bool = False
    drop_diverged: bool = False
    keep_weights: bool = True
    data: DataConfig
    model: ModelConfig
    train: dict[str, Any]
    plans: dict[str, PlanConfig]

    @model_validator(mode="after")
    def _plans_fit(self) -> StudyConfig:
        for name in self.plans:
            try:
                check_plan_name(name)
            except PlanError as error:
                raise values.bad(f"plans.{name}: {error}") from None
            if "@" in name:  # which marks the candidates of a grid
                raise values.bad(f"plans.{name}: a plan's name must not hold @, got {name!r}")
        if self.baseline not in self.plans:
            raise values.bad(
                f"baseline must name a plan ({', '.join(self.plans) or 'there is none'}), got {self.baseline!r}"
            )
        if len(self.plans) < 2:
            raise values.bad("plans must hold a plan to compare with the baseline, got the baseline alone")
        return self

    def train_config(self) -> TrainConfig:
        """Return ``[train]`` as the training room's own settings; raise ``ConfigError`` where they are not."""
        from dropkit.train import TrainConfig  # brings torch

        try:
            return TrainConfig.from_dict(self.train)
        except InputError as error:
            raise ConfigError(f"train: {error}") from None

    def with_seeds(self, count: int) -> StudyConfig:
        """Return this study with the seeds 0 to ``count`` - 1."""
        return parse_config({**self.model_dump(by_alias=True), "seeds": count}, "--seeds")


def load_config(source: StudyConfig | Mapping[str, Any] | str | Path | None) -> StudyConfig:
    """Return the configuration that ``source`` stands for.

    Args:
        source: A configuration, a mapping with the tables of the file, the path of a TOML file, or the name of
            a built-in study; None is ``"digits"``.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: The file cannot be read, or something in it is unknown, missing or illegal: one line that
            says what, where, and what was expected.
    """
    if isinstance(source, StudyConfig):
        return source
    if isinstance(source, Mapping):
        return parse_config(source, "config")
    if source is None or source in BUILTIN:
        name = source or BUILTIN[0]
        text, label = (
            (files("dropkit.study") / "builtin" / f"{name}.toml").read_text("utf-8"),
            f"study {name!r}",
        )
    else:
        path = Path(source)
        label = f"config {path}"
        try:
            text = path.read_text(
                "utf-8-sig"
            )  # some editors begin a file with a mark that TOML does not know
        except FileNotFoundError:
            raise ConfigError(
                f"{label}: no such file; give a TOML file, or nothing for the built-in study"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{label}: cannot be read as text: {error}") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{label}: not valid TOML: {error}") from None
    return parse_config(tables, label)


def parse_config(tables: Mapping[str, Any], label: str) -> StudyConfig:
    """Validate the tables of a configuration; ``label`` opens the error's text."""
    try:
        config = StudyConfig.model_validate(dict(tables))
        config.train_config()
        if config.metric not in LARGER_IS_BETTER:
            raise unknown_name("metric", config.metric, LARGER_IS_BETTER)
    except ValidationError as error:
        problems = "; ".join(_line(problem) for problem in error.errors(include_url=False))
        raise ConfigError(f"{label}: {problems}") from None
    except InputError as error:
        raise ConfigError(f"{label}: {error}") from None
    return config


def _line(problem: Any) -> str:
    """Turn one problem that pydantic found into ``path must be ..., got ...``."""
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if problem["type"] == "missing":
        return f"{path} is missing"
    if problem["type"] == "dropkit":
        text = problem["msg"]
        glue = ": " if text.startswith("unknown key") else " "
        return f"{path}{glue}{text}" if path else text
    wanted = problem["msg"].replace("Input should be", "must be").replace("String should", "must")
    return f"{path} {wanted}, got {_short(problem['input'])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
