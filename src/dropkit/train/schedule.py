"""Learning rate of each optimiser step, a pure function of the config and the step."""

import math

from dropkit.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_an_epoch: int) -> float:
    """Return the learning rate of optimiser step ``step``, counted from 0 over the whole run.

    ``linear`` and ``cosine`` change with every step and would reach 0 at the step after the last; ``step`` changes
    between epochs.
    """
    share = step / (steps_an_epoch * config.epochs)
    if config.schedule == "linear":
        factor = 1.0 - share
    elif config.schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * share))
    elif config.schedule == "step" and config.step_size is not None:
        factor = config.gamma ** (step // steps_an_epoch // config.step_size)
    else:
        factor = 1.0
    return config.start_lr * factor
