"""Predictions on the disk: what the schema refuses, and that they come back as they were."""

import base64

import pytest
from pydantic import ValidationError

from dropkit.core import FolderError
from dropkit.records import (
    Answers,
    Picture,
    PredictionRecord,
    load_predictions,
    prediction_path,
    read_predictions,
    write_json,
)


def picture(row=0, **changes):
    values = {
        "row": row,
        "height": 2,
        "width": 3,
        "channels": 1,
        "pixels": base64.b64encode(bytes(6)).decode(),
    }
    return Picture(**values | changes)


@pytest.fixture
def record():
    plain = Answers(
        loss=[0.0, 1.0], predicted=[2, 0], confidence=[0.9, 0.4], uncertainty={"entropy": [0.1, 0.7]}
    )
    return PredictionRecord(plan="none", seed=3, label=[2, 1], plain=plain, pictures=[picture(1)])


def test_they_come_back_as_they_were(tmp_path, record):
    assert load_predictions(tmp_path) == {}
    path = prediction_path(tmp_path, "none", 3)
    assert path == tmp_path / "predictions" / "none--3.json"
    write_json(path, record)
    assert read_predictions(path) == record
    assert load_predictions(tmp_path) == {("none", 3): record}
    assert record.pictures[0].content == bytes(6)


def test_a_damaged_file_says_what_to_do(tmp_path, record):
    path = prediction_path(tmp_path, "none", 3)
    write_json(path, record)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FolderError, match="start the study again, which writes it anew"):
        load_predictions(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": [1]}, "one entry an example"),
        ({"sampled": Answers(loss=[0.0])}, "one entry an example"),
        ({"plain": Answers(loss=[]), "label": []}, "there must be examples"),
        ({"pictures": [picture(2)]}, "of one of the 2 examples"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(record, changes, words):
    with pytest.raises(ValidationError, match=words):
        PredictionRecord(**dict(record) | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": 3}, "must be 3 x 3 x 1 bytes, got 6"),
        ({"pixels": "no!"}, "base64"),
        ({"channels": 2}, "1 or 3"),
    ],
)
def test_a_picture_must_be_whole(changes, words):
    with pytest.raises(ValidationError, match=words):
        picture(**changes)
