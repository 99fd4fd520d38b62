from itertools import pairwise

import pytest
import torch

from dropkit.train import TrainConfig
from dropkit.train.schedule import learning_rate

STEPS, EPOCHS = 7, 6


@pytest.mark.parametrize(
    ("schedule", "options", "peer"),
    [
        ("constant", {}, lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        ("linear", {}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS * EPOCHS)),
        ("cosine", {}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS * EPOCHS)),
        (
            "step",
            {"step_size": 2, "gamma": 0.3},
            lambda o: torch.optim.lr_scheduler.StepLR(o, 2 * STEPS, 0.3),
        ),
    ],
)
def test_agrees_with_torch_at_every_step(schedule, options, peer):
    config = TrainConfig(lr=0.5, schedule=schedule, epochs=EPOCHS, **options)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = peer(optimizer)
    for step in range(STEPS * EPOCHS):
        assert learning_rate(config, step, STEPS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_decays_from_the_full_rate_to_zero_just_after_the_last_step(schedule):
    config = TrainConfig(lr=0.5, schedule=schedule, epochs=EPOCHS)
    rates = [learning_rate(config, step, STEPS) for step in range(STEPS * EPOCHS + 1)]
    assert rates[0] == 0.5
    assert all(a > b for a, b in pairwise(rates))
    assert rates[-2] > 0
    assert rates[-1] == pytest.approx(0, abs=1e-12)
