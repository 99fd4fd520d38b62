import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from dropkit.core import ConfigError, DataError, RateError, ShapeError
from dropkit.train import TrainConfig, fit

from .problems import Items, classes, images, mlp, values


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Refuses(nn.Linear):
    def forward(self, x):
        raise RateError("rate must be in [0, 1], got 1.7")


def with_value(data: TensorDataset, index: int, value: float, of: int = 0) -> TensorDataset:
    tensors = [tensor.clone() for tensor in data.tensors]
    tensors[of][index] = value
    return TensorDataset(*tensors)


C, V, GOOD = classes(20, 0), values(20, 0), {"epochs": 1, "batch": 8}
X, Y = C.tensors
NAN, INF = float("nan"), float("inf")

# error, text, then what differs from a good run: model, train, val, config, task
CASES = [
    (DataError, "train has 5 samples, fewer than one batch of 8; lower batch", {"train": classes(5, 0)}),
    (DataError, "val has no samples", {"val": TensorDataset(X[:0], Y[:0])}),
    (DataError, "train has no samples", {"train": TensorDataset(X[:0], Y[:0])}),
    (DataError, "train: sample 17 has an input that is NaN or infinite", {"train": with_value(C, 17, NAN)}),
    (DataError, "val: sample 3 has an input that is NaN or infinite", {"val": with_value(C, 3, INF)}),
    (DataError, "train: sample 9 has an input", {"train": Items(with_value(C, 9, NAN))}),
    (DataError, "val: sample 2 has a target that is NaN", {"reg": True, "val": with_value(V, 2, NAN, of=1)}),
    (
        DataError,
        r"train: labels must be in 0 .. 2, as the model has 3 outputs, got 3 at sample 11",
        {"train": with_value(C, 11, 3, of=1)},
    ),
    (
        DataError,
        r"val: labels must be in 0 .. 2, .* got -1 at sample 19",
        {"val": with_value(C, 19, -1, of=1)},
    ),
    (DataError, "labels must be whole numbers, got torch.float32", {"train": TensorDataset(X, Y.float())}),
    (
        DataError,
        "targets must be floating point, got torch.int64",
        {"reg": True, "train": TensorDataset(X, torch.ones(20, 2).long())},
    ),
    (
        ShapeError,
        r"labels must be one whole number a sample, got targets of shape \(2, 1\)",
        {"train": TensorDataset(X, Y[:, None])},
    ),
    (ShapeError, r"one logit a class, .* got \(2, 1\)", {"model": nn.Linear(6, 1)}),
    (ShapeError, r"one logit a class, .* got \(12,\)", {"model": nn.Flatten(0)}),
    (ShapeError, "must return one tensor, got tuple", {"model": Pair(6, 3)}),
    (
        ShapeError,
        r"does not accept inputs of shape \(2, 6\), torch.float32 \(mat1",
        {"model": nn.Linear(5, 3)},
    ),
    (ShapeError, r"does not accept .* torch.float64", {"train": TensorDataset(X.double(), Y)}),
    (RateError, "got 1.7", {"model": Refuses(6, 3)}),
    (
        ShapeError,
        r"the shape of the targets, \(2, 2\), got \(2, 3\)",
        {"reg": True, "model": nn.Linear(6, 3)},
    ),
    (
        ShapeError,
        r"the shape of the targets, \(2,\), got \(2, 1\)",
        {"reg": True, "model": nn.Linear(6, 1), "train": TensorDataset(X, X[:, 0])},
    ),
    (
        ShapeError,
        r"one row of values a sample, got \(2, 2, 2\)",
        {"reg": True, "train": TensorDataset(X, torch.ones(20, 2, 2))},
    ),
    (
        ShapeError,
        r"val: all inputs must be like the first of train, shape \(6,\) .* got \(5,\)",
        {"val": TensorDataset(X[:, :5], Y)},
    ),
    (
        ShapeError,
        r"augment needs floating point images .* got inputs of shape \(2, 6\)",
        {"config": {"augment": ["flip"]}},
    ),
    (
        ConfigError,
        "batch = 1 cannot train a model with batch normalisation",
        {"model": mlp(0, nn.BatchNorm1d(16)), "config": {"batch": 1}},
    ),
    (
        ConfigError,
        "label_smoothing is for classification, got 0.1 with regression",
        {"reg": True, "config": {"label_smoothing": 0.1}},
    ),
    (
        ConfigError,
        "monitor must be one of loss, accuracy, .* got 'rmse'",
        {"config": {"monitor": "rmse", "patience": 1}},
    ),
    (ConfigError, "no parameter to train", {"model": mlp(0).requires_grad_(False)}),
    (ConfigError, "task must be one of", {"task": "ranking"}),
]


@pytest.mark.parametrize(("kind", "text", "change"), CASES, ids=[text[:40] for _, text, _ in CASES])
def test_it_is_found_before_training_starts(kind, text, change):
    regression = change.get("reg", False)
    good = V if regression else C
    model = change.get("model", mlp(0, outputs=2 if regression else 3))
    before = [tensor.clone() for tensor in model.state_dict().values()]
    steps = []
    with pytest.raises(kind, match=text) as caught:
        fit(
            model,
            change.get("train", good),
            change.get("val", good),
            TrainConfig(**GOOD | change.get("config", {})),
            task=change.get("task", "regression" if regression else "classification"),
            seed=1,
            on_step=steps.append,
        )
    assert "\n" not in str(caught.value)
    assert not steps
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_every_whole_number_type_serves_as_label(dtype):
    data = TensorDataset(X, Y.to(dtype))
    reference, model = mlp(0), mlp(0)
    config = TrainConfig(**GOOD)
    first = fit(reference, C, C, config, task="classification", seed=1)
    assert fit(model, data, data, config, task="classification", seed=1).epochs == first.epochs


def test_yes_or_no_labels_serve_for_two_classes():
    data = TensorDataset(X, X[:, 0] > 0)
    result = fit(mlp(0, outputs=2), data, data, TrainConfig(**GOOD), task="classification", seed=1)
    assert result.status == "ok"


def test_token_inputs_are_accepted():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2))
    data = TensorDataset(torch.randint(0, 5, (20, 3)), torch.arange(20) % 2)
    assert fit(model, data, data, TrainConfig(**GOOD), task="classification", seed=1).status == "ok"


def test_one_leftover_sample_does_not_trouble_batch_norm(seed):
    data = classes(17, seed)
    result = fit(
        mlp(seed, nn.BatchNorm1d(16)), data, data, TrainConfig(**GOOD), task="classification", seed=seed
    )
    assert (result.status, result.steps) == ("ok", 2)


@pytest.mark.parametrize(
    ("option", "size"), [({"name": "shift", "pixels": 8}, 8), ({"name": "cutout", "size": 9}, 8)]
)
def test_augmentation_must_fit_the_images(option, size):
    data, model = images(8, 0, size), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(ShapeError, match="for 8x8 images"):
        fit(model, data, data, TrainConfig(**GOOD, augment=[option]), task="classification", seed=1)
