"""Models that the code of torch makes hard to look into."""

import warnings

import pytest
import torch
from torch import nn

import dropkit as dk

X = torch.linspace(-1, 1, 24).view(4, 6)


def scripted(*layers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        return torch.jit.script(nn.Sequential(*layers))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["auto", "loop", "expand"])
def test_torchscript_without_dropout_is_sampled_through(mode, training, seed):
    inner = scripted(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()).train(training)
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), inner, nn.Linear(6, 3)).train(training)
    plain = nn.Sequential(*model[:2], nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh(), model[3])
    plain[2].load_state_dict(inner[0].state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found, expected = (dk.predict(m, X, seed=seed, members=40, mode=mode) for m in (model, plain))
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(module.training == training for module in inner.modules())


def test_a_plan_leaves_the_mode_of_torchscript_alone():
    inner = scripted(nn.Linear(6, 6), nn.BatchNorm1d(6))
    model = nn.Sequential(inner, nn.ReLU(), nn.Linear(6, 3)).train()
    inner.eval()
    before = inner[1].running_mean.clone()
    dk.plan(model, [dk.Rule(at="hidden")], example_inputs=X)
    assert not any(module.training for module in inner.modules())
    assert torch.equal(inner[1].running_mean, before)


@pytest.mark.parametrize("error", [AssertionError, IndexError, RuntimeError])
def test_a_model_that_knows_its_batch_runs_as_it_can(error, seed):
    class Exact(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop, self.out = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)

        def forward(self, x):
            if len(x) != 4:
                raise error("four samples are wanted")
            return self.out(self.drop(self.fc(x)) * (float(x.detach().sum()) if x.ndim > 2 else 1.0))

    model = Exact().eval()
    options = {"seed": seed, "members": 40, "keep_members": True}
    loop = dk.predict(model, X, mode="loop", **options)
    torch.testing.assert_close(dk.predict(model, X, **options).members, loop.members)
    with pytest.raises(dk.ConfigError, match="'expand': four samples are wanted; use mode='auto'"):
        dk.predict(model, X, mode="expand", **options)
