import pytest

from dropkit.records import Epoch, RunRecord


@pytest.fixture
def run():
    """Make a run; keywords replace its fields."""

    def make(**changes) -> RunRecord:
        values = {
            "plan": "hidden",
            "seed": 3,
            "status": "ok",
            "epochs": [Epoch(epoch=1, train={"error": 0.1, "loss": 0.25}, val={"error": 0.2, "loss": 0.5})],
            "test": {"error": 0.15, "per_class": {"recall": [0.8, 0.9]}},
        }
        return RunRecord(**(values | changes))

    return make
