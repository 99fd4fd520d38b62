"""Predictions within their memory budget, as the operating system sees it."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

import dropkit as dk
from dropkit.core import ConfigError
from dropkit.infer.prediction import Moments
from dropkit.surgery.auditing.alive import Alive
from dropkit.surgery.sampling import _STATISTICS, sampler

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from torch import nn
import dropkit as dk

torch.set_num_threads(1)
mode, budget, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
drop = nn.Dropout(0.3)
if kind == "everywhere":
    model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), drop, nn.Conv2d(32, 32, 3, padding=1), drop)
    model = nn.Sequential(model, nn.Conv2d(32, 3, 1)).eval()
else:
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())
    model = nn.Sequential(model, nn.AdaptiveAvgPool2d(1), nn.Flatten(), drop, nn.Linear(64, 10)).eval()
x = torch.randn(32, 3, 48, 48)
dk.predict(model, x[:4], members=4, seed=1, mode=mode)  # what is loaded once
with torch.inference_mode():
    model(x)
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
status = lambda name: 1024 * int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0])
before = status("VmRSS")
dk.predict(model, x, members=12, seed=1, mode=mode, memory=budget)
print(json.dumps(status("VmHWM") - before))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize(
    ("kind", "budget"), [("everywhere", 90_000_000), ("everywhere", 300_000_000), ("head", 64_000_000)]
)
def test_the_memory_budget_is_kept(mode, kind, budget):
    run = [sys.executable, "-c", PROGRAM, mode, str(budget), kind]
    # What is freed goes back at once: else the C library's hoard would be counted as ours.
    returning = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    used = json.loads(subprocess.run(run, capture_output=True, text=True, check=True, env=returning).stdout)
    assert 1_000_000 < used <= budget


def bytes_that_are_enough(model, x):
    """Return the least budget, among powers of 2, that predict takes."""
    for power in range(8, 40):
        try:
            dk.predict(model, x, members=2, seed=1, memory=2**power)
        except ConfigError as error:
            if "one member needs about" not in str(error):
                raise
            continue
        return 2**power
    raise AssertionError("no budget is enough")


def test_views_of_parameters_and_inputs_take_nothing():
    model, x = (
        nn.Sequential(nn.Linear(1024, 1024), nn.Flatten(), nn.Dropout(0.5)).eval(),
        torch.randn(4, 1024),
    )
    size = x.numel() * x.element_size()
    found = sampler(
        model, (x,), {}
    )  # three of x's size in the pass, a copy, and eight of statistics in double
    assert 16 * size <= found.memory < 24 * size < 1024 * 1024 * 4


def test_weights_that_are_drawn_do_not_count_for_every_sample():
    model = nn.Sequential(nn.Linear(64, 16384), nn.Dropout(0.5), dk.nn.DropConnect(nn.Linear(16384, 64), 0.5))
    enough = bytes_that_are_enough(model.eval(), torch.randn(256, 64))
    assert 256 * 16384 * 4 < enough <= 8 * 256 * 16384 * 4


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_a_budget_for_less_than_a_member_is_refused_at_any_length(length):
    model = nn.Sequential(nn.Linear(64, 512), nn.Dropout(0.5)).eval()
    with pytest.raises(ConfigError, match="one member needs about"):
        dk.predict(model, torch.randn(length, 64), members=2, seed=1, memory=1000)


class Noting(TorchDispatchMode):
    def __init__(self, alive):
        super().__init__()
        self.alive = alive

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.alive.note(func, args, result)
        return result


@pytest.mark.parametrize("task", [None, "classification"])
@pytest.mark.parametrize("size", [1, 4])
def test_statistics_take_no_more_than_they_are_counted_for(task, size, rng):
    chunks = [torch.rand(size, 16, 64, generator=rng).softmax(-1) for _ in range(3)]
    alive = Alive(chunks)
    with torch.inference_mode(), Noting(alive):
        moments = Moments(task, keep=False)
        for chunk in chunks:
            moments.add(chunk)
        moments.prediction("loop", torch.float32)
    assert 0 < alive.peak <= _STATISTICS * chunks[0].numel()


MET = []


class Steps(nn.Module):
    """Takes memory for every step of a sequence, and notes how many steps it is given at once."""

    def __init__(self):
        super().__init__()
        self.up, self.drop, self.down = nn.Linear(4, 64), nn.Dropout(0.3), nn.Linear(64, 2)

    def forward(self, x):
        MET.append(x.shape[0] * x.shape[1])
        return self.down(self.drop(self.up(x)).mean(1))


SEQUENCES = [(2, 5), (2, 200), (2, 5), (2, 800), (200, 5)]


def test_longer_samples_in_later_batches_keep_the_budget(rng, seed):
    model = Steps().eval()
    batches = [torch.randn(*size, 4, generator=rng) for size in SEQUENCES]
    budget = 4 * sampler(model, (batches[3],), {}).memory
    MET.clear()
    loader = DataLoader(batches, batch_size=None)
    got = dk.predict(
        model, loader, members=30, seed=seed, mode="expand", memory=budget, keep_members=True
    ).members
    assert 30 * 2 * 5 <= max(MET) <= budget // (2 * 64 * 4)  # 64 units a step, before and after dropout
    loop = dk.predict(model, loader, members=30, seed=seed, mode="loop", keep_members=True).members
    torch.testing.assert_close(got, loop, rtol=1e-4, atol=1e-5)


def test_a_convolution_takes_room_of_its_own():
    layers = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5)).eval()
    size = 2 * 64 * 48 * 48 * 4
    assert 3 * size <= sampler(model, (torch.randn(2, 3, 48, 48),), {}).memory < 4 * size
