import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dropkit.nn
from dropkit.core import ConfigError, ShapeError
from dropkit.random import child_seed, mask
from dropkit.train import TrainConfig, evaluate, fit

from .problems import Items, classes, cnn, images, mlp, same, values

OPTIMIZERS = {
    "sgd": ({}, lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.01},
        lambda p: torch.optim.SGD(p, 0.2, momentum=0.9, weight_decay=0.01),
    ),
    "nesterov": (
        {"momentum": 0.8, "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=True),
    ),
    "adam": (
        {"optimizer": "adam", "weight_decay": 0.1, "betas": (0.8, 0.9)},
        lambda p: torch.optim.Adam(p, 0.001, (0.8, 0.9), weight_decay=0.1),
    ),
    "adamw": (
        {"optimizer": "adamw", "weight_decay": 0.1},
        lambda p: torch.optim.AdamW(p, 0.001, weight_decay=0.1),
    ),
}


def by_hand(model, data, epochs, batch, seed, optimizer, loss, lr=lambda share: None):
    """The loop of the documentation, written out."""
    x, y = data.tensors
    order = torch.Generator().manual_seed(child_seed(seed, "order"))
    step, total = 0, epochs * math.ceil(len(x) / batch)
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=order).split(batch):
            optimizer.zero_grad()
            loss(model(x[index]), y[index]).backward()
            if lr(step / total) is not None:
                optimizer.param_groups[0]["lr"] = lr(step / total)
            optimizer.step()
            step += 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_are_those_of_a_plain_loop_bit_for_bit(name, seed):
    options, build = OPTIMIZERS[name]
    data, model, plain = classes(43, seed), mlp(seed), mlp(seed)
    fit(model, data, data, TrainConfig(epochs=3, batch=8, **options), task="classification", seed=seed)
    by_hand(plain, data, 3, 8, seed, build(plain.parameters()), F.cross_entropy)
    assert same(model, plain)


def test_schedule_and_label_smoothing_act_on_the_training_loss(seed):
    data, model, plain = classes(43, seed), mlp(seed), mlp(seed)
    config = TrainConfig(epochs=3, batch=8, lr=0.3, schedule="linear", label_smoothing=0.2)
    result = fit(model, data, data, config, task="classification", seed=seed)
    optimizer = torch.optim.SGD(plain.parameters(), 0.3)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.2)
    by_hand(plain, data, 3, 8, seed, optimizer, smooth, lambda share: 0.3 * (1 - share))
    assert same(model, plain)
    assert result.epochs[-1]["train"]["loss"] == pytest.approx(
        float(F.cross_entropy(plain(data.tensors[0]), data.tensors[1]).detach()), rel=1e-6
    )


def test_regression_minimises_the_squared_error(seed):
    data, model, plain = values(43, seed), mlp(seed, outputs=2), mlp(seed, outputs=2)
    config = TrainConfig(epochs=3, batch=8, lr=0.05)
    result = fit(model, data, data, config, task="regression", seed=seed, target_mean=5.0, target_std=3.0)
    by_hand(plain, data, 3, 8, seed, torch.optim.SGD(plain.parameters(), 0.05), F.mse_loss)
    assert same(model, plain)
    with torch.no_grad():
        residual = (plain(data.tensors[0]) - data.tensors[1]).double().numpy()
    assert result.epochs[-1]["val"]["mae"] == pytest.approx(3 * np.abs(residual).mean(), rel=1e-6)


def test_the_record_of_an_epoch_is_what_evaluate_says(seed):
    train, val, model, seen = images(30, seed), images(11, seed + 1), cnn(seed), []

    def look(epoch, record):
        expected = {
            name: evaluate(model, part, task="classification", batch=256) for name, part in parts.items()
        }
        for found in expected.values():
            del found["per_class"]
        assert record == {"epoch": epoch, **expected}
        seen.append(record)

    parts = {"train": train, "val": val}
    config = TrainConfig(epochs=2, batch=8)
    result = fit(model, train, val, config, task="classification", seed=seed, on_epoch=look)
    assert [record["epoch"] for record in seen] == [1, 2]
    assert result.epochs == seen
    assert (result.status, result.steps, result.best_epoch) == ("ok", 8, 2)
    assert 0 < result.step_seconds < 1


def test_learning_happens(seed):
    data = classes(300, seed)
    config = TrainConfig(epochs=15, batch=16, momentum=0.9, schedule="cosine")
    result = fit(mlp(seed), data, classes(300, seed + 1), config, task="classification", seed=seed)
    assert result.epochs[-1]["val"]["error"] < 0.35  # chance: 0.67; the noise of the labels: about 0.15


def test_equal_seeds_give_equal_runs_and_others_do_not(seed):
    data, config = images(30, seed), TrainConfig(epochs=2, batch=8, augment=["shift", "flip"])
    models, results = [], []
    for run_seed in (seed, seed, seed + 1):
        models.append(cnn(seed))
        results.append(fit(models[-1], data, data, config, task="classification", seed=run_seed))
    assert same(models[0], models[1])
    assert not same(models[0], models[2])
    assert results[0].epochs == results[1].epochs != results[2].epochs


def test_kind_of_dataset_does_not_matter(seed):
    data, config, models = classes(30, seed), TrainConfig(epochs=2, batch=8), (mlp(seed), mlp(seed))
    for model, dataset in zip(models, (data, Items(data)), strict=True):
        fit(model, dataset, dataset, config, task="classification", seed=seed)
    assert same(*models)


class Watching(nn.Module):
    """Passes on its input, and writes down what it saw in training."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(x.detach().clone())
        return x


def test_order_and_augmentation_are_the_same_for_every_model(seed):
    data, config, seen = images(30, seed), TrainConfig(epochs=2, batch=8, augment=["shift", "cutout"]), []
    for dropout in ([], [nn.Dropout(0.5)], [dropkit.nn.Dropout(0.5), nn.Dropout(0.1)]):
        watch = Watching()
        model = nn.Sequential(watch, nn.Flatten(), mlp(seed, *dropout, width=64))
        fit(model, data, data, config, task="classification", seed=seed)
        seen.append(watch.seen)
    assert len(seen[0]) == 8
    for other in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], other, strict=True))
    assert not torch.equal(seen[0][0], seen[0][4])  # a new order in each epoch


def test_every_sample_is_seen_once_an_epoch(seed):
    data, watch = classes(30, seed), Watching()
    fit(
        nn.Sequential(watch, mlp(seed)),
        data,
        data,
        TrainConfig(epochs=2, batch=8),
        task="classification",
        seed=seed,
    )
    for epoch in (watch.seen[:4], watch.seen[4:]):
        rows = torch.cat(epoch)
        assert rows.shape == data.tensors[0].shape
        assert torch.equal(rows.sort(0).values, data.tensors[0].sort(0).values)


def test_masks_are_those_of_the_stream_one_step_each(seed):
    data, watch = classes(20, seed), Watching()
    drop = dropkit.nn.Dropout(0.5, site="here")
    model = nn.Sequential(nn.Linear(6, 3), Ones(), drop, watch)
    fit(model, data, data, TrainConfig(epochs=2, batch=8), task="classification", seed=seed)
    assert len(watch.seen) == 6
    for step, seen in enumerate(watch.seen):
        kept = mask(tuple(seen.shape), 0.5, seed=child_seed(seed, "masks"), step=step, site="here")
        assert np.array_equal(seen.numpy() != 0, kept)


class Ones(nn.Module):
    def forward(self, x):
        return x * 0 + 1


class AlwaysOn(nn.Module):
    """Draws masks of both makes in evaluation, too."""

    def __init__(self, active: bool) -> None:
        super().__init__()
        self.active = active

    def forward(self, x):
        if not self.training and self.active:
            dropkit.ops.dropout(x, 0.5, training=True)
            dropkit.ops.dropout(x, 0.5, training=True, site="here")
            F.dropout(x, 0.5)
        return x


def test_what_a_model_draws_in_evaluation_does_not_move_training(seed):
    data, models = classes(20, seed), []
    for active in (False, True):
        extra = (
            AlwaysOn(active),
            dropkit.nn.Dropout(0.5),
            dropkit.nn.Dropout(0.5, site="here"),
            nn.Dropout(0.5),
        )
        models.append(mlp(seed, *extra))
        fit(models[-1], data, data, TrainConfig(epochs=3, batch=8), task="classification", seed=seed)
    assert same(*models)


def test_global_generator_is_left_alone_and_does_not_matter(seed):
    data, models = classes(20, seed), (mlp(seed, nn.Dropout(0.5)), mlp(seed, nn.Dropout(0.5)))
    for model in models:
        torch.rand(3)
        before = torch.get_rng_state()
        fit(model, data, data, TrainConfig(epochs=2, batch=8), task="classification", seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
    assert same(*models)


def test_flags_come_back_and_training_is_in_training_mode(seed):
    data, watch = classes(20, seed), Watching()
    model = nn.Sequential(watch, mlp(seed)).eval()
    model[1][0].train()
    flags = [module.training for module in model.modules()]
    fit(model, data, data, TrainConfig(epochs=2, batch=8), task="classification", seed=seed)
    assert len(watch.seen) == 6
    assert [module.training for module in model.modules()] == flags


def test_on_step_gets_every_number_before_its_step(seed):
    data, model, seen = classes(20, seed), mlp(seed), []
    start = model[0].weight.detach().clone()

    def look(step):
        seen.append(step)
        assert torch.equal(model[0].weight.detach(), start) == (step == 0)

    fit(model, data, data, TrainConfig(epochs=2, batch=8), task="classification", seed=seed, on_step=look)
    assert seen == list(range(6))


def test_extra_loss_is_added_and_gets_batch_and_outputs(seed):
    data, model, plain, sizes = classes(20, seed), mlp(seed), mlp(seed), []

    def penalty(of, x, y, outputs):
        assert of is model
        assert torch.equal(of(x), outputs)
        sizes.append((len(x), len(y)))
        return 0.01 * outputs.square().sum().reshape(1)

    def loss(outputs, y):
        return F.cross_entropy(outputs, y) + 0.01 * outputs.square().sum()

    fit(
        model,
        data,
        data,
        TrainConfig(epochs=2, batch=8),
        task="classification",
        seed=seed,
        extra_loss=penalty,
    )
    by_hand(plain, data, 2, 8, seed, torch.optim.SGD(plain.parameters(), 0.1), loss)
    assert same(model, plain)
    assert sizes[:3] == [(8, 8), (8, 8), (4, 4)]
    with pytest.raises(ShapeError, match=r"extra_loss must return a single number, got shape \(8, 3\)"):
        fit(
            mlp(seed),
            data,
            data,
            TrainConfig(batch=8),
            task="classification",
            seed=seed,
            extra_loss=lambda *a: a[3],
        )


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_without_an_update(seed):
    data, model, epochs, kept = classes(20, seed), mlp(seed), [], {}

    def explode(of, x, y, outputs):
        if len(kept) == 5:
            return outputs.sum() * float("nan")
        return outputs.sum() * 0

    def keep(step):
        kept[step] = model[0].weight.detach().clone()

    config = TrainConfig(epochs=4, batch=8, patience=1)
    result = fit(
        model,
        data,
        data,
        config,
        task="classification",
        seed=seed,
        extra_loss=explode,
        on_step=keep,
        on_epoch=lambda epoch, _: epochs.append(epoch),
    )
    assert (result.status, result.diverged_epoch, result.diverged_step) == ("diverged", 2, 4)
    assert (result.steps, result.best_epoch, result.stopped_epoch) == (4, 0, None)
    assert epochs == [record["epoch"] for record in result.epochs] == [1]
    assert torch.equal(model[0].weight.detach(), kept[4])


def test_weights_that_overflow_are_noticed_even_where_no_output_shows_it(seed):
    data, model = classes(20, seed), mlp(seed)

    def spoil(step):
        if step == 2:  # biases become -inf, and the activation after them 0
            model[0].bias.register_hook(lambda grad: torch.full_like(grad, math.inf))

    result = fit(
        model, data, data, TrainConfig(epochs=3, batch=8), task="classification", seed=seed, on_step=spoil
    )
    assert (result.status, result.diverged_epoch, result.diverged_step) == ("diverged", 1, 3)
    assert result.epochs == []
    with torch.no_grad():
        assert model(data.tensors[0]).isfinite().all()


def test_outputs_that_are_not_finite_in_evaluation_are_divergence(seed):
    class Root(nn.Module):
        def forward(self, x):
            return x if self.training else x / 0.0

    data = classes(20, seed)
    result = fit(
        mlp(seed, Root()), data, data, TrainConfig(epochs=3, batch=8), task="classification", seed=seed
    )
    assert (result.status, result.diverged_epoch, result.diverged_step) == ("diverged", 1, 3)


def test_a_learning_rate_far_too_high_diverges(seed):
    data = values(40, seed)
    config = TrainConfig(epochs=50, batch=8, lr=3.0)
    result = fit(mlp(seed, outputs=2), data, data, config, task="regression", seed=seed)
    assert result.status == "diverged"
    assert result.diverged_step == result.steps < 250
    assert len(result.epochs) == result.diverged_epoch - 1


def test_a_mask_of_minus_infinity_in_a_buffer_is_no_divergence(seed):
    model, data = mlp(seed), classes(20, seed)
    model.register_buffer("causal", torch.full((2, 2), -math.inf))
    assert (
        fit(model, data, data, TrainConfig(epochs=1, batch=8), task="classification", seed=seed).status
        == "ok"
    )


def test_frozen_parameters_stay(seed):
    model, data = mlp(seed), classes(20, seed)
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, data, data, TrainConfig(epochs=1, batch=8, weight_decay=0.1), task="classification", seed=seed)
    assert torch.equal(model[0].weight, before)
    assert not same(model, mlp(seed))


@pytest.mark.parametrize("option", ["target_std", "checkpoint_seconds"])
def test_numbers_of_the_call_are_checked(option, seed):
    data = classes(20, seed)
    with pytest.raises(ConfigError, match=f"{option} must be .* got -1"):
        fit(mlp(seed), data, data, TrainConfig(batch=8), task="classification", seed=seed, **{option: -1})
