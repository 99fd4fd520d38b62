"""Two real processes: different masks by default, equal ones on request."""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

import dropkit as dk
from dropkit.random import mask, stream


def worker(rank, folder, seed):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    drop = dk.nn.Dropout(0.5, site="a")
    x = torch.ones(8, 32)
    with stream(seed):
        own = drop(x)
    with stream(seed, rank=0):
        shared = drop(x)
    torch.manual_seed(seed)
    unstreamed = drop(x)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(32, 4), drop, nn.Linear(4, 1)))
    with stream(seed) as s:
        for _ in range(3):
            model(x).sum().backward()
            s.advance()
    gradient = model.module[0].weight.grad
    torch.save((own, shared, unstreamed, gradient), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks(seed, tmp_path):
    mp.spawn(worker, args=(str(tmp_path), seed), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for rank, (own, *_) in enumerate((first, second)):
        assert torch.equal(own != 0, torch.from_numpy(mask((8, 32), 0.5, seed=seed, rank=rank, site="a")))
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(first[1], first[0])
    assert not torch.equal(first[2], second[2])
    assert torch.equal(first[3], second[3])  # DDP averages the gradients of different masks
