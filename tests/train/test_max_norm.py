import pytest
import torch
from torch import nn

from dropkit.core import ConfigError
from dropkit.train import TrainConfig, fit
from dropkit.train.max_norm import MaxNorm

from .problems import classes, mlp

LAYERS = [
    nn.Linear(6, 5),
    nn.Conv1d(4, 6, 3),
    nn.Conv2d(4, 6, 3, groups=2),
    nn.Conv3d(2, 3, 2),
    nn.ConvTranspose1d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, 3, groups=2),
]


def incoming(layer: nn.Module) -> torch.Tensor:
    """Vectors of incoming weights, one a row, built unit by unit."""
    w = layer.weight.detach()
    if "Transpose" not in type(layer).__name__:
        return w.flatten(1).clone()
    each_in, each_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    return torch.stack(
        [
            w[g * each_in : (g + 1) * each_in, unit].flatten()
            for g in range(layer.groups)
            for unit in range(each_out)
        ]
    )


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_long_vectors_are_shortened_in_their_direction_and_short_ones_kept_bit_for_bit(layer, rng):
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng))
    before, bias = incoming(layer), layer.bias.detach().clone()
    norms = before.norm(dim=1)
    limit = float(norms.sort().values[len(norms) // 2 - 1 : len(norms) // 2 + 1].mean())
    MaxNorm(layer, limit).project()
    after, long = incoming(layer), norms > limit
    assert 0 < long.sum() < len(long)
    assert torch.equal(after[~long], before[~long])
    torch.testing.assert_close(after[long], before[long] * (limit / norms[long])[:, None])
    assert (after.norm(dim=1) <= limit * (1 + 1e-6)).all()
    assert torch.equal(layer.bias, bias)


def test_zero_vectors_stay_zero():
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    MaxNorm(layer, 1.0).project()
    assert torch.equal(layer.weight, torch.zeros(2, 3))


def test_norms_embeddings_and_layers_without_weights_are_free(seed):
    model = nn.Sequential(nn.Embedding(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(9.0)
    MaxNorm(model, 1.0).project()
    assert (model[0].weight == 9).all()
    assert (model[1].weight == 9).all()
    torch.testing.assert_close(model[2].weight.norm(dim=1), torch.ones(2))


def test_what_it_cannot_hold_is_refused_by_name():
    with pytest.raises(ConfigError, match="the model has none"):
        MaxNorm(nn.LayerNorm(3), 1.0)
    model = nn.Sequential(nn.Linear(3, 3), torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    with pytest.raises(ConfigError, match="max_norm cannot hold '1'"):
        MaxNorm(model, 1.0)


def test_fit_projects_after_every_step(seed):
    data, seen = classes(40, seed), []
    model = mlp(seed)
    config = TrainConfig(lr=1.0, momentum=0.9, epochs=3, batch=8, max_norm=0.5)
    layers = [model[0], model[2]]

    def look(step):
        if step:
            seen.append(max(float(layer.weight.detach().norm(dim=1).max()) for layer in layers))

    fit(model, data, data, config, task="classification", seed=seed, on_step=look)
    assert len(seen) == 14
    assert max(seen) <= 0.5 * (1 + 1e-6)
    assert max(seen) > 0.499  # the constraint was at work
