import os
import secrets

import pytest
import torch
import torch.distributed as dist


def pytest_configure(config: pytest.Config) -> None:
    # Workers of a parallel session inherit the environment, so all agree on the seed.
    os.environ.setdefault("DROPKIT_TEST_SEED", str(secrets.randbits(31)))


def pytest_report_header(config: pytest.Config) -> str:
    return f"dropkit: DROPKIT_TEST_SEED={os.environ['DROPKIT_TEST_SEED']}"


@pytest.fixture
def seed() -> int:
    """The session's root seed: tests must pass under any."""
    return int(os.environ["DROPKIT_TEST_SEED"])


@pytest.fixture
def rng(seed: int) -> torch.Generator:
    """A private generator: no test may depend on, or disturb, global RNG state."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def process_group(tmp_path):
    """Torch's process group, of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()
