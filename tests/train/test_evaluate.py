import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from dropkit import stats
from dropkit.core import ConfigError, DataError, ShapeError
from dropkit.train import evaluate

from .problems import Items, classes, cnn, images, mlp, values


def test_classification_metrics_are_those_of_stats(seed):
    data, model = classes(70, seed), mlp(seed)
    found = evaluate(model, data, task="classification", batch=16)
    x, y = data.tensors
    with torch.no_grad():
        logits = model(x).double()
    p = logits.softmax(1).numpy()
    expected = stats.classification_metrics(p, y.numpy())
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert found["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-6)
    assert found["per_class"] == stats.per_class(p, y.numpy())
    assert set(found) == {*expected, "loss", "per_class"}


def test_regression_metrics_are_in_original_units(seed):
    data, model = values(70, seed), mlp(seed, outputs=2)
    found = evaluate(model, data, task="regression", batch=16, target_mean=100.0, target_std=20.0)
    x, y = data.tensors
    with torch.no_grad():
        residual = (model(x) - y).double().numpy()
    assert found["rmse"] == pytest.approx(20 * np.sqrt((residual**2).mean(0)).mean(), rel=1e-6)
    assert found["mae"] == pytest.approx(20 * np.abs(residual).mean(), rel=1e-6)
    assert found["loss"] == pytest.approx((residual**2).mean(), rel=1e-6)
    plain = evaluate(model, data, task="regression", batch=16)
    assert found["r2"] == pytest.approx(plain["r2"], rel=1e-9)
    assert found["nll"] == pytest.approx(plain["nll"] + np.log(20), rel=1e-9)
    assert "per_class" not in found


def test_batch_size_and_kind_of_dataset_do_not_matter(seed):
    data, model = classes(70, seed), mlp(seed)
    whole = evaluate(model, data, task="classification", batch=70)
    for dataset, batch in ((data, 1), (data, 33), (Items(data), 8)):
        found = evaluate(model, dataset, task="classification", batch=batch)
        assert found["error"] == whole["error"]
        assert found["nll"] == pytest.approx(whole["nll"], rel=1e-5)


def test_confident_logits_give_a_finite_exact_loss():
    data = TensorDataset(torch.eye(2), torch.tensor([0, 1]))
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 2000.0], [2000.0, 0.0]]))
    assert evaluate(model, data, task="classification", batch=2)["loss"] == 2000.0


class Nosy(nn.Module):
    """Writes to a buffer, replaces another, and draws from the global generator, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))
        self.register_buffer("nothing", None)

    def forward(self, x):
        self.count += 1
        self.last = x.sum().reshape(1)
        self.nothing = x.sum()
        return x + 0 * torch.rand_like(x)


def test_flags_buffers_gradients_and_global_state_are_as_before(seed):
    model = nn.Sequential(cnn(seed), Nosy())
    model.train()
    model[0][1].eval()  # frozen batch norm
    flags = [module.training for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    state = torch.get_rng_state()
    evaluate(model, images(20, seed), task="classification", batch=8)
    assert [module.training for module in model.modules()] == flags
    assert all(now is was for now, (was, _) in zip(model.buffers(), buffers, strict=True))
    assert all(torch.equal(now, value) for now, value in buffers)
    assert model[1].nothing is None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_flags_and_buffers_come_back_after_an_error(seed):
    class Fails(Nosy):
        def forward(self, x):
            super().forward(x)
            raise KeyError("deep inside")

    model = Fails().train()
    with pytest.raises(KeyError, match="deep inside"):
        evaluate(model, classes(4, seed), task="classification", batch=2)
    assert model.training
    assert float(model.count) == 0


def test_dropout_is_off(seed):
    model = mlp(seed, nn.Dropout(0.9)).train()
    first, second = (evaluate(model, classes(70, seed), task="classification", batch=16) for _ in range(2))
    assert first == second
    assert first["loss"] == evaluate(mlp(seed), classes(70, seed), task="classification", batch=16)["loss"]


def test_bad_calls_give_one_clear_line(seed):
    data, model = classes(10, seed), mlp(seed)
    x, y = data.tensors
    nan = TensorDataset(x * float("nan"), y)
    cases = [
        (
            ConfigError,
            "task must be one of classification, regression, got 'clustering'",
            data,
            {"task": "clustering"},
        ),
        (ConfigError, "batch must be", data, {"batch": 0}),
        (ConfigError, "target_std must be a finite number above 0, got 0", data, {"target_std": 0}),
        (ConfigError, "target_mean must be a finite number, got nan", data, {"target_mean": float("nan")}),
        (DataError, "the dataset has no samples", TensorDataset(x[:0], y[:0]), {}),
        (
            DataError,
            r"labels must be in 0 .. 2, .* got 3 at sample 4",
            TensorDataset(x, (torch.arange(10) == 4) * 3),
            {},
        ),
        (DataError, "outputs are not all finite", nan, {}),
        (
            ShapeError,
            r"does not accept inputs of shape \(2, 3\), torch.float32",
            TensorDataset(x[:, :3], y),
            {},
        ),
    ]
    for kind, text, dataset, options in cases:
        with pytest.raises(kind, match=text) as caught:
            evaluate(model, dataset, **{"task": "classification", "batch": 4} | options)
        assert "\n" not in str(caught.value)
