"""The optimiser that a config names."""

import torch
from torch import nn
from torch.optim import Optimizer

from dropkit.core import ConfigError
from dropkit.train.config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Return the optimiser over the parameters that need gradients.

    Raises:
        ConfigError: no parameter needs a gradient.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ConfigError("the model has no parameter to train; set requires_grad on some")
    lr, decay, betas = config.start_lr, config.weight_decay, config.betas
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, betas=betas, weight_decay=decay)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, betas=betas, weight_decay=decay)
    momentum, nesterov = config.momentum, config.nesterov
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
