"""What is found out before anything is written."""

import random

import numpy as np
import pytest
import torch

from dropkit.core import InputError
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.preflight import preflight
from tests.study.small import study


def look(**changes):
    config = load_config(study(**changes))
    return preflight(config, candidates(config))


def test_a_sound_study_is_measured():
    facts = look()
    assert facts.task == "classification"
    assert sum(facts.sizes) == 120
    assert facts.test_train_ratio == facts.sizes[2] / facts.sizes[0]
    assert 0 < facts.run_seconds < 60


def test_more_epochs_take_more_time():
    assert look(train={"epochs": 400}).run_seconds > 20 * look().run_seconds


def test_regression_is_looked_at_too():
    changes = {
        "data": {"name": "tests.study.factories:line"},
        "metric": "rmse",
        "model": {"name": "mlp", "widths": [4]},
    }
    plans = {"none": {"rules": []}, "input": {"rules": [{"at": "input", "rate": 0.1}]}}
    assert look(**changes, plans=plans).task == "regression"


def test_no_trace_is_left():
    torch.set_num_threads(1)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    look(data={"name": f"{HERE}:restless_blobs"}, model={"name": f"{HERE}:restless_net"})
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]
    assert torch.get_num_threads() == 1


HERE = "tests.study.factories"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"name": f"{HERE}:broken_data"}}, ["broken_data", "OSError: the disk is on fire"]),
        ({"data": {"name": f"{HERE}:bad_labels"}}, ["label", "-1"]),
        ({"data": {"name": f"{HERE}:nan_data"}}, ["nan"]),
        ({"data": {"name": f"{HERE}:nowhere"}}, ["nowhere"]),
        ({"data": {"name": "digist"}}, ["digits"]),
        ({"data": {"name": "nowhere.csv"}}, ["no file", "nowhere.csv"]),
        ({"train": {"batch": 5000}}, ["fewer than one batch of 5000"]),
        ({"model": {"name": f"{HERE}:broken_model"}}, ["broken_model", "ValueError: no such width"]),
        ({"model": {"name": f"{HERE}:no_model"}}, ["no_model", "torch.nn.module", "dict"]),
        (
            {"model": {"name": f"{HERE}:picky"}},
            ["picky", "first training steps", "KeyError", "no gradient today"],
        ),
        ({"model": {"name": f"{HERE}:wrong_shape"}}, ["does not accept inputs"]),
        ({"model": {"name": f"{HERE}:narrow"}}, ["label"]),
        ({"model": {"name": "mpl"}}, ["did you mean 'mlp'"]),
        ({"model": {"name": f"{HERE}:net", "second": 3}}, ["second", "seconds"]),
        ({"metric": "rmse"}, ["metric must be one of", "accuracy", "ece, error, macro"]),
        ({"model": {"name": "__main__:net"}}, ["model: name = '__main__:net'", "into a module"]),
        ({"data": {"name": "__main__:blobs"}}, ["data: name = '__main__:blobs'", "into a module"]),
        ({"train": {"augment": ["flip"]}}, ["augment"]),
        ({"plans": {"none": {"rules": []}, "odd": {"rules": [{"at": "conv"}]}}}, ["plans.odd", "conv"]),
        (
            {"plans": {"none": {"rules": []}, "odd": {"rules": [{"at": "fc*", "rate": 0.5}]}}},
            ["plans.odd", "fc*"],
        ),
        (
            {
                "plans": {
                    "none": {"rules": []},
                    "odd": {"rules": [{"at": "hidden", "variant": "spatial_dropout2d"}]},
                }
            },
            ["plans.odd", "2d"],
        ),
    ],
)
def test_what_cannot_work_is_refused_with_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        look(**changes)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word.lower() in text.lower()
