"""Members as rows of one large batch, for models in which rows may not be independent."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError
from dropkit.surgery.sampling import sampler


class Net(nn.Module):
    """A model whose output of small batches goes through ``mix``."""

    def __init__(self, mix):
        super().__init__()
        self.fc, self.drop, self.mix = nn.Linear(4, 6), nn.Dropout(0.5), mix

    def forward(self, x):
        return self.mix(self.drop(self.fc(x)), x)


def turns_by_item(h, x):
    return h if h.sum().item() > 0 else -h


def turns_by_bool(h, x):
    return h if (h.mean(0) > 0).any() else -h


def turns_by_list(h, x):
    return h if sum(h[:, 0].tolist()) > 0 else -h


def turns_by_numpy(h, x):
    return h if h.detach().numpy().sum() > 0 else -h


def turns_far_behind(h, x):
    other = torch.stack([h, h + 1]).flatten(1)
    return h if int(other.argmax()) % 2 else -h


def turns_by_equality(h, x):
    return h if torch.allclose(h[0], h[1], atol=1.0) else -h


def turns_by_shape(h, x):
    return h if len(h[h > 0]) % 2 else -h


def centred(h, x):
    return h - h.mean(0, keepdim=True)


def mean_of_neighbours(h, x):
    return h + h.roll(1, 0)


READING = [
    turns_by_item,
    turns_by_bool,
    turns_by_list,
    turns_by_numpy,
    turns_far_behind,
    turns_by_equality,
    turns_by_shape,
]


@pytest.mark.parametrize("mix", [*READING, centred, mean_of_neighbours])
def test_members_that_would_see_each_other_do_not(mix, rng, seed):
    model, x = Net(mix).eval(), torch.randn(5, 4, generator=rng)
    loop, auto = (
        dk.predict(model, x, members=200, seed=seed, mode=mode, keep_members=True).members
        for mode in ("loop", "auto")
    )
    assert torch.allclose(loop, auto, atol=1e-5)


@pytest.mark.parametrize("mix", READING)
def test_code_that_reads_is_found_at_once(mix, rng):
    assert sampler(Net(mix), (torch.randn(5, 4, generator=rng),), {}).reads


@pytest.mark.parametrize("mix", [*READING, centred, mean_of_neighbours])
def test_expanding_them_is_refused(mix, rng, seed):
    model, x = Net(mix).eval(), torch.randn(5, 4, generator=rng)
    with pytest.raises(ConfigError, match="'expand' does not suit the model"):
        dk.predict(model, x, members=20, seed=seed, mode="expand")


@pytest.mark.parametrize(
    "mix",
    [
        lambda h, x: h if x.isfinite().all() else -h,
        lambda h, x: h if (x > -1e9).all().item() else -h,
        lambda h, x: h if torch.arange(3).max().item() == 2 else -h,
        lambda h, x: h.softmax(-1),
    ],
)
def test_values_that_no_mask_changes_may_be_read(mix, rng, seed):
    model, x = Net(mix).eval(), torch.randn(5, 4, generator=rng)
    prediction = dk.predict(model, x, members=20, seed=seed, mode="expand", keep_members=True)
    loop = dk.predict(model, x, members=20, seed=seed, mode="loop", keep_members=True)
    assert prediction.mode == "expand"
    assert torch.allclose(prediction.members, loop.members, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_samples_that_mix_do_so_in_half_precision_too(dtype, rng, seed):
    network = nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(8, track_running_stats=False)
    )
    x = torch.randn(9, 6, generator=rng, dtype=torch.float32).to(dtype)
    with pytest.raises(ConfigError, match="samples of one batch influence each other"):
        dk.predict(network.eval().to(dtype), x, members=8, seed=seed, mode="expand")
