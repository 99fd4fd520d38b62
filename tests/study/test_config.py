"""What a configuration may say, and the one line for each thing it may not."""

import copy
import tomllib

import numpy as np
import pytest

from dropkit.core import ConfigError
from dropkit.study.config import StudyConfig, load_config
from dropkit.study.text import config_text
from dropkit.train import TrainConfig

SMALL = {
    "schema": 1,
    "name": "small",
    "seeds": 2,
    "baseline": "none",
    "metric": "error",
    "data": {"name": "digits"},
    "model": {"name": "mlp", "widths": [8]},
    "train": {"epochs": 2},
    "plans": {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": 0.5}]}},
}


def changed(path, value):
    """Return SMALL with the value at ``path`` (keys and list indices) replaced; None removes it."""
    tables = copy.deepcopy(SMALL)
    *way, last = path
    inner = tables
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return tables


def test_the_built_in_study_is_the_one_that_was_agreed():
    config = load_config(None)
    assert config == load_config("digits")
    assert config.seeds == tuple(range(10))
    assert (config.data.name, config.model.name, config.model.options) == (
        "digits",
        "mlp",
        {"widths": [512, 512]},
    )
    train = config.train_config()
    assert (train.optimizer, train.lr, train.momentum, train.schedule) == ("sgd", 0.1, 0.9, "linear")
    assert (train.epochs, train.batch) == (100, 64)
    rates = {name: [(rule.at, rule.rate) for rule in plan.rules] for name, plan in config.plans.items()}
    assert rates == {
        "none": [],
        "hidden": [("hidden", 0.5)],
        "input-hidden": [("input", 0.1), ("hidden", 0.5)],
    }
    assert config.baseline == "none"
    assert config.metric == "error"


def test_seeds_may_be_a_list():
    assert load_config(changed(["seeds"], [7, 3])).seeds == (7, 3)
    assert load_config(SMALL).with_seeds(5).seeds == (0, 1, 2, 3, 4)


def test_seeds_may_be_numpys():
    for seeds in ([np.int64(7), np.int32(3)], tuple(np.array([7, 3]))):
        config = load_config(changed(["seeds"], seeds))
        assert config.seeds == (7, 3)
        assert config_text(config) == config_text(load_config(changed(["seeds"], [7, 3])))
    assert load_config(changed(["seeds"], np.int64(3))).seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["metrik"], "error", ["unknown key 'metrik'", "did you mean 'metric'?"]),
        (["data", "subst"], 3, ["data: ", "'subst'", "did you mean 'subset'?"]),
        (["train", "momentun"], 0.9, ["train: ", "'momentun'", "did you mean 'momentum'?"]),
        (["train", "lr"], -1, ["train: lr must be", "got -1"]),
        (["train", "epochs"], 2.5, ["train: epochs must be", "got 2.5"]),
        (["plans", "hidden", "rule"], [], ["plans.hidden: ", "'rule'", "did you mean 'rules'?"]),
        (
            ["plans", "hidden", "rules", 0, "p"],
            0.5,
            ["plans.hidden.rules[0]: unknown key 'p' is called rate here: the probability of dropping"],
        ),
        (["plans", "hidden", "rules", 0, "keep_prob"], 0.5, ["rules[0]: ", "1 - keep_prob"]),
        (["p"], 0.5, ["unknown key 'p'; known: "]),
        (["plans", "hidden", "rules", 0, "rat"], 0.1, ["plans.hidden.rules[0]: ", "did you mean 'rate'?"]),
        (
            ["plans", "hidden", "rules", 0, "rate"],
            1.7,
            ["plans.hidden.rules[0].rate must be in [0, 1], got 1.7"],
        ),
        (["plans", "hidden", "rules", 0, "rate"], float("nan"), ["rules[0].rate must be in [0, 1], got nan"]),
        (["plans", "hidden", "rules", 0, "rate"], [0.1, 1.7], ["rules[0].rate must be in [0, 1], got 1.7"]),
        (["plans", "hidden", "rules", 0, "rate"], [0.1, 0.1], ["rules[0].rate must hold different rates"]),
        (["plans", "hidden", "rules", 0, "rate"], [], ["rules[0].rate", "at least one"]),
        (["plans", "hidden", "rules", 0, "rate"], "0.5", ["rules[0].rate must be a number", "'0.5'"]),
        (["plans", "hidden", "rules", 0, "rate"], True, ["rules[0].rate must be a number", "True"]),
        (["plans", "hidden", "rules", 0, "at"], [], ["rules[0].at must be a name or a list of names"]),
        (["plans", "hidden", "rules", 0, "at"], None, ["plans.hidden.rules[0].at is missing"]),
        (["plans", "hidden", "rules", 0, "on"], "inside", ["rules[0].on must be 'output'", "got 'inside'"]),
        (["plans", "hidden", "rules"], {"at": "hidden"}, ["plans.hidden.rules must be"]),
        (["plans", "a--b"], {"rules": []}, ["plans.a--b", "name must be"]),
        (["plans", "a@b"], {"rules": []}, ["plans.a@b", "must not hold @"]),
        (["plans", "../up"], {"rules": []}, ["plans.../up", "name must be"]),
        (["plans", "hidden"], None, ["the baseline alone"]),
        (["baseline"], "nonne", ["baseline must name a plan (none, hidden), got 'nonne'"]),
        (["baseline"], None, ["baseline is missing"]),
        (["metric"], 3, ["metric must be", "got 3"]),
        (["metric"], "eror", ["unknown metric 'eror'", "did you mean 'error'?"]),
        (["schema"], 2, ["schema must be 1, got 2"]),
        (["seeds"], 1, ["seeds must be between 2 and", "got 1"]),
        (["seeds"], [1, 1], ["seeds must hold different seeds"]),
        (["seeds"], [1], ["seeds must hold at least two seeds"]),
        (["seeds"], [-1, 2], ["seeds must hold whole numbers", "got -1"]),
        (["seeds"], 2.0, ["seeds must be a whole number or a list", "got 2.0"]),
        (["resplit"], "yes", ["resplit must be", "got 'yes'"]),
        (["data", "val"], True, ["data.val must be", "got True"]),
        (["data", "task"], "clustering", ["data.task must be", "'clustering'"]),
        (["data"], "digits", ["data must be", "'digits'"]),
        (["model", "name"], None, ["model.name is missing"]),
    ],
)
def test_each_fault_is_one_line_that_says_where_and_what(path, value, words):
    with pytest.raises(ConfigError) as caught:
        load_config(changed(path, value))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("config: ")
    for word in words:
        assert word in text


def test_all_faults_are_named_at_once():
    tables = changed(["seeds"], 1)
    del tables["metric"]
    with pytest.raises(
        ConfigError, match=r"seeds must be.*; metric is missing|metric is missing.*; seeds must be"
    ):
        load_config(tables)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "marked.toml").write_text(config_text(load_config(SMALL)), "utf-8-sig")
    assert config_text(load_config(tmp_path / "marked.toml")) == config_text(load_config(SMALL))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "bad.toml").write_text("seeds = = 3")
    with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML: .*line 1"):
        load_config(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml: cannot be read"):
        load_config(tmp_path / "latin.toml")


RICH = changed(
    ["model"], {"name": "pkg.mod:make", "deep": {"a": [1, 2.5], "b c": True}, "text": 'q"\\\n\x7fé😀'}
)
RICH["plans"]["grid"] = {
    "rules": [
        {"at": ["fc", "conv"], "rate": [0.1, 1e-7], "except_": "fc1", "on": "input", "override": True},
        {"at": "input", "variant": "gaussian_dropout", "rate": 0.2, "options": {"scaling": "test"}},
    ]
}
RICH["data"] |= {"val": 0.25, "test": 100, "dir": "some/where"}
RICH["train"] |= {"augment": ["flip", {"name": "shift", "pixels": 2}], "patience": 3}
RICH["resplit"] = True


@pytest.mark.parametrize("tables", [SMALL, RICH], ids=["small", "rich"])
def test_the_text_of_a_configuration_reads_back_as_the_same(tables):
    config = load_config(tables)
    again = load_config(tomllib.loads(config_text(config)))
    assert again.model_dump(exclude={"train"}) == config.model_dump(exclude={"train"})
    assert again.train_config() == config.train_config()
    assert config_text(again) == config_text(config)


def test_order_and_explicit_defaults_do_not_change_the_text():
    same = dict(reversed(copy.deepcopy(SMALL).items()))
    same["seeds"] = [0, 1]
    same["resplit"] = False
    same["train"] = {"batch": 64, "epochs": 2, "optimizer": "sgd"}
    same["plans"]["hidden"]["rules"][0] |= {"variant": "dropout", "on": "output"}
    assert config_text(load_config(same)) == config_text(load_config(SMALL))
    other = changed(["plans", "hidden", "rules", 0, "rate"], 0.4)
    assert config_text(load_config(other)) != config_text(load_config(SMALL))


def test_a_configuration_cannot_be_changed():
    config = load_config(SMALL)
    assert isinstance(config, StudyConfig)
    with pytest.raises(ValueError, match="frozen"):
        config.metric = "nll"


def test_the_text_states_defaults_too_and_a_rate_of_zero():
    tables = {**SMALL, "plans": {"none": {"rules": []}, "zero": {"rules": [{"at": "hidden", "rate": 0.0}]}}}
    text = config_text(load_config({**tables, "train": {}}))
    stated = tomllib.loads(text)
    assert stated["train"]["optimizer"] == "sgd"
    assert stated["train"]["epochs"] == TrainConfig().epochs
    assert (stated["resplit"], stated["data"]["split_seed"]) == (False, 0)
    assert stated["plans"]["zero"]["rules"] == [
        {"at": "hidden", "variant": "dropout", "rate": 0.0, "on": "output"}
    ]
