"""Each kind of attachment in each setting, measured anew, against the table in the docs."""

import copy

import pytest
import torch

from .kinds import KINDS
from .matrix import in_page, measured
from .settings import SETTINGS, Case

# In eval mode nothing is dropped, so nothing can be missing; adapters take no handle of the case's plan.
NOTICING = [name for name in SETTINGS if name not in ("export (eval)", "LoRA before")]


@pytest.mark.filterwarnings("ignore")  # what torch and peft have to say about themselves
def test_the_table_in_the_docs_is_what_is_measured(process_group):
    assert measured() == in_page()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", NOTICING)
def test_a_plan_that_does_nothing_would_be_noticed(setting, process_group, monkeypatch):
    case = Case(next(iter(KINDS.values())))
    idle = copy.deepcopy(case.model)
    monkeypatch.setattr(case, "plan", _Idle())
    with pytest.raises(AssertionError):
        SETTINGS[setting](case)
    assert torch.equal(idle(case.x), case.model(case.x))


class _Idle:
    def apply(self, model):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None
