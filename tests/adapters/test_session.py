import pytest
from torch import nn

from dropkit.adapters.session import Session, written
from dropkit.core import PlanError, StreamError
from dropkit.random.stream import innermost
from dropkit.surgery import Plan
from tests.adapters.loops import net, nothing_left, plan


def test_it_opens_and_closes_once(seed):
    session, model = Session(seed, plan()), net()
    session.attach(model, optimizer_follows=False)
    session.open(3)
    assert innermost().step == 3
    session.advance(2)
    session.advance(0)
    assert innermost().step == 5
    session.close()
    session.close()
    assert nothing_left(model)
    assert session.state_dict()["stream"]["step"] == 5
    with pytest.raises(StreamError, match="no training is going on"):
        session.advance()


def test_its_state_goes_on_within_a_step(seed):
    first = Session(seed, None)
    first.open(4)
    innermost().count("a")
    state = first.state_dict()
    first.close()
    second = Session(seed, None)
    second.load_state_dict(state)
    second.open()
    assert innermost().state_dict() == state["stream"]
    second.close()
    second.open(1)
    second.load_state_dict(state)  # also where it is open already
    assert innermost().step == 4
    second.close()


def test_a_plan_with_parameters_of_its_own_must_come_before_the_optimizer(seed, monkeypatch):
    class Learned:
        def __init__(self, model):
            self.model = model

        def __enter__(self):
            self.model.rate = nn.Parameter(nn.Linear(1, 1).weight)

        def __exit__(self, *error):
            del self.model.rate

    monkeypatch.setattr(Plan, "apply", lambda plan, model: Learned(model))
    model = net()
    with pytest.raises(PlanError, match=r"parameters of its own \(rate\).*before the optimiser is made"):
        Session(seed, plan()).attach(model, optimizer_follows=False)
    assert not hasattr(model, "rate")
    session = Session(seed, plan())
    session.attach(model, optimizer_follows=True)
    assert hasattr(model, "rate")
    session.close()


def test_nothing_is_written_of_no_plan():
    assert written(None) is None
    assert Plan.from_json(written(plan())) == plan()
