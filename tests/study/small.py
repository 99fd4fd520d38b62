"""A study of a second, and ways to change it."""

import copy

STUDY = {
    "schema": 1,
    "name": "small",
    "seeds": 2,
    "baseline": "none",
    "metric": "error",
    "data": {"name": "tests.study.factories:blobs"},
    "model": {"name": "tests.study.factories:net"},
    "train": {"epochs": 2, "batch": 16, "lr": 0.1, "eval_batch": 512},
    "plans": {"none": {"rules": []}, "hidden": {"rules": [{"at": "hidden", "rate": 0.5}]}},
}


def study(**changes):
    """Return STUDY with tables merged and values replaced: ``study(seeds=3, train={"lr": 1.0})``."""
    tables = copy.deepcopy(STUDY)
    for key, value in changes.items():
        if isinstance(value, dict) and key != "plans" and key in tables:
            tables[key] |= value
        else:
            tables[key] = value
    return tables
