import json

import numpy as np
import pytest

from dropkit.core import ConfigError
from dropkit.train import Cutout, Flip, Shift, TrainConfig

BAD = [
    ({"optimizer": "sdg"}, "optimizer must be one of sgd, adam, adamw, got 'sdg'"),
    ({"optimizer": None}, "optimizer must be one of"),
    ({"optimizer": ["sgd"]}, "optimizer must be one of"),
    ({"lr": 0}, "lr must be a finite number above 0, got 0"),
    ({"lr": float("nan")}, "lr must be a finite number above 0, got nan"),
    ({"lr": float("inf")}, "lr must be"),
    ({"lr": "0.1"}, "lr must be .* got '0.1'"),
    ({"lr": True}, "lr must be .* got True"),
    ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\), got 1.0"),
    ({"momentum": -0.1}, "momentum must be"),
    ({"momentum": 0.9, "optimizer": "adam"}, "momentum belongs to sgd, got 0.9 with adam"),
    ({"nesterov": 1}, "nesterov must be true or false, got 1"),
    ({"nesterov": True}, "nesterov needs a momentum above 0"),
    ({"betas": 0.9}, "betas must be two numbers"),
    ({"betas": (0.9, 1.0)}, r"betas: each must be a number in \[0, 1\), got 1.0"),
    ({"weight_decay": -1e-4}, "weight_decay must be a finite number of at least 0, got -0.0001"),
    ({"schedule": "exponential"}, "schedule must be one of constant, step, cosine, linear"),
    ({"schedule": "step"}, "step_size .* got schedule='step', step_size=None"),
    ({"step_size": 3}, "step_size .* got schedule='constant', step_size=3"),
    ({"schedule": "step", "step_size": 0}, "step_size must be a whole number of at least 1, got 0"),
    ({"gamma": 0.0}, r"gamma must be a number in \(0, 1\], got 0.0"),
    ({"gamma": 1.5}, "gamma must be"),
    ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
    ({"epochs": 2.0}, "epochs must be .* got 2.0"),
    ({"epochs": True}, "epochs must be .* got True"),
    ({"batch": 0}, "batch must be"),
    ({"eval_batch": -1}, "eval_batch must be"),
    ({"max_norm": 0}, "max_norm must be a finite number above 0, got 0"),
    ({"label_smoothing": 1.0}, r"label_smoothing must be a number in \[0, 1\), got 1.0"),
    ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
    ({"monitor": 3}, "monitor must be the name of a metric, got 3"),
    ({"augment": "flip"}, "augment must be a list of names or tables, got 'flip'"),
    ({"augment": 3}, "augment must be a list"),
    ({"augment": ["flop"]}, "augment: name must be one of shift, rotate, flip, crop, cutout, got 'flop'"),
    ({"augment": [3]}, "augment: each entry must be a name or a table"),
    ({"augment": [{"pixels": 3}]}, "augment: each entry must be a name or a table"),
    (
        {"augment": [{"name": "shift", "pixel": 3}]},
        "augment shift: unknown option 'pixel'; known: pixels, fill",
    ),
    (
        {"augment": [{"name": "shift", "pixels": 0}]},
        "augment shift: pixels must be a whole number of at least 1",
    ),
    ({"augment": [{"name": "shift", "fill": "x"}]}, "augment shift: fill must be a finite number, got 'x'"),
    (
        {"augment": [{"name": "rotate", "degrees": 181}]},
        r"rotate: degrees must be a number in \(0, 180\], got 181",
    ),
    ({"augment": [{"name": "flip", "probability": 2}]}, "flip: probability must be"),
    ({"augment": [{"name": "flip", "axis": "x"}]}, "flip: axis must be one of horizontal, vertical, got 'x'"),
    ({"augment": [{"name": "crop", "smallest": 0}]}, "crop: smallest must be"),
    ({"augment": [{"name": "cutout", "size": 1.5}]}, "cutout: size must be"),
]


@pytest.mark.parametrize(("values", "text"), BAD, ids=[str(values) for values, _ in BAD])
def test_each_bad_value_gives_one_clear_line(values, text):
    with pytest.raises(ConfigError, match=text) as caught:
        TrainConfig(**values)
    assert "\n" not in str(caught.value)


def test_numbers_at_the_legal_ends_are_accepted():
    TrainConfig(momentum=0, weight_decay=0, gamma=1, epochs=1, batch=1, label_smoothing=0, patience=1, lr=1)


def test_numbers_of_numpy_are_accepted():
    assert TrainConfig(lr=np.float32(0.5)).start_lr == 0.5
    with pytest.raises(ConfigError, match="lr must be"):
        TrainConfig(lr=np.float32("nan"))


def test_each_optimizer_has_its_own_default_lr():
    assert [TrainConfig(optimizer=name).start_lr for name in ("sgd", "adam", "adamw")] == [0.1, 0.001, 0.001]
    assert TrainConfig(optimizer="adam", lr=0.5).start_lr == 0.5


def test_augmentations_are_stored_as_objects_however_they_were_written():
    config = TrainConfig(augment=["flip", {"name": "shift", "pixels": 3}, Cutout(size=2)])
    assert config.augment == (Flip(), Shift(pixels=3), Cutout(size=2))
    assert hash(config) == hash(TrainConfig(augment=[Flip(), Shift(3), Cutout(2)]))


def test_to_dict_is_plain_data_and_from_dict_its_inverse():
    config = TrainConfig(
        optimizer="adamw", betas=[0.8, 0.9], schedule="step", step_size=2, augment=["crop", "rotate"]
    )
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain == config.to_dict()
    assert TrainConfig.from_dict(plain) == config


def test_from_dict_names_the_nearest_key():
    with pytest.raises(ConfigError, match="unknown training setting 'momentun'; did you mean 'momentum'"):
        TrainConfig.from_dict({"momentun": 0.9})
    with pytest.raises(ConfigError, match="unknown training setting 'zzz'; known: optimizer, lr"):
        TrainConfig.from_dict({"zzz": 1})
