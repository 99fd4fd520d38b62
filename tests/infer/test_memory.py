"""Predictions within their memory budget, as the operating system sees it."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from torch import nn
import dropkit as dk

torch.set_num_threads(1)
mode, budget = sys.argv[1], int(sys.argv[2])
drop = nn.Dropout(0.3)
model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), drop, nn.Conv2d(32, 32, 3, padding=1), drop)
model = nn.Sequential(model, nn.Conv2d(32, 3, 1)).eval()
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
@pytest.mark.parametrize("budget", [90_000_000, 300_000_000])
def test_the_memory_budget_is_kept(mode, budget):
    run = [sys.executable, "-c", PROGRAM, mode, str(budget)]
    # What is freed goes back at once: else the C library's hoard would be counted as ours.
    returning = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    used = json.loads(subprocess.run(run, capture_output=True, text=True, check=True, env=returning).stdout)
    assert 1_000_000 < used <= budget
