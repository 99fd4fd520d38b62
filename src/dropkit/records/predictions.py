"""The content of ``predictions/``: what a finished run says about each example of its test part."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dropkit.records.models import Count, File, Part, PlanName, Seed

Numbers = list[float]


class Answers(Part):
    """What a run says about the examples, one entry each, in the order of the test part.

    Args:
        loss: Of a classification 1 where the answer is wrong, else 0; of a regression the squared error in the target's
            own unit, mean over the targets.
        predicted: The likeliest class; empty for a regression.
        confidence: Its probability; empty for a regression.
        level: Of a regression, for each target of each example the level of the narrowest central interval that holds
            it, with observation noise; else empty.
        uncertainty: By name, larger is less sure: ``entropy`` and, of thinned networks, ``mutual information``, both
            in nats; ``sd`` of a regression.
        metrics: Of the whole part.
    """

    loss: Numbers
    predicted: list[Count] = Field(default_factory=list)
    confidence: Numbers = Field(default_factory=list)
    level: Numbers = Field(default_factory=list)
    uncertainty: dict[str, Numbers] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)


class Picture(Part):
    """An example that is an image, as bytes from 0 to 255, at most 32 on a side.

    Args:
        row: Of the test part.
        height: In pixels.
        width: In pixels.
        channels: 1 (grey) or 3 (red, green, blue).
        pixels: Base64 of the bytes, row by row, channels last.
    """

    row: Count
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: Literal[1, 3]
    pixels: str

    @property
    def content(self) -> bytes:
        """The bytes."""
        return base64.b64decode(self.pixels)

    @model_validator(mode="after")
    def _whole(self) -> Picture:
        try:
            size = len(base64.b64decode(self.pixels, validate=True))
        except binascii.Error as error:
            raise ValueError(f"pixels must be base64 ({error})") from None
        if size != self.height * self.width * self.channels:
            raise ValueError(
                f"pixels must be {self.height} x {self.width} x {self.channels} bytes, got {size}"
            )
        return self


class PredictionRecord(File):
    """``predictions/<plan>--<seed>.json``: nothing in it depends on time or host. Numbers have six digits.

    Args:
        plan: As in the run.
        seed: As in the run.
        members: Thinned networks behind ``sampled``.
        label: True class of each example; empty for a regression.
        plain: What the run says with scaled weights; None if it could not be asked.
        sampled: The mean over thinned networks; None if the plan has none.
        reason: Why there is no ``plain``, or no ``sampled`` though the plan has rules; else None.
        pictures: Of examples that the report shows, where they are images.
    """

    plan: PlanName
    seed: Seed
    members: Count = 0
    label: list[Count] = Field(default_factory=list)
    plain: Answers | None = None
    sampled: Answers | None = None
    reason: str | None = None
    pictures: list[Picture] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> PredictionRecord:
        count = None if self.plain is None else len(self.plain.loss)
        lists: list[Sequence[float]] = [self.label]
        for answers in (self.plain, self.sampled):
            if answers is not None:
                lists += [answers.loss, answers.predicted, answers.confidence, *answers.uncertainty.values()]
        for values in lists:
            if values and len(values) != count:
                raise ValueError(f"all lists must have one entry an example ({count}), got {len(values)}")
        if count == 0:
            raise ValueError("there must be examples")
        if any(picture.row >= (count or 0) for picture in self.pictures):
            raise ValueError(f"a picture must be of one of the {count} examples")
        return self
