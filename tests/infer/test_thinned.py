"""What a prediction leaves behind: nothing."""

import gc

import pytest
import torch
from torch import nn

import dropkit as dk


class Counting(nn.Module):
    """Keeps a running mean, so that members have to begin anew."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


def net(*more):
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), *more, nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)
    )


def tensors():
    return {id(value) for value in gc.get_objects() if issubclass(type(value), torch.Tensor)}


@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (net, "vmap"),
        (net, "expand"),
        (net, "loop"),
        (lambda: net(Counting()), "loop"),
        (lambda: dk.ensemble([net(), net()]), "auto"),
    ],
)
def test_no_tensor_waits_for_the_collector(make, mode, seed):
    model, x = make(), torch.randn(6, 4)
    if isinstance(model, nn.Module):  # a hook that holds the model
        model[0].register_forward_hook(lambda module, args, output: output * len(model))

    def run():
        return dk.predict(model, x, members=12, seed=seed, mode=mode).n_members

    run()
    gc.collect()
    gc.disable()
    try:
        before = tensors()
        assert run() in (12, 24)
        assert not tensors() - before
    finally:
        gc.enable()
