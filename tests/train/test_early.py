import pytest
import torch
from torch import nn

from dropkit.train import TrainConfig, fit
from dropkit.train.early import EarlyStopping

from .problems import classes, cnn, images, mlp, same

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "larger", "best_epoch", "exhausted_after"),
    [
        ([3, 2, 1, 1, 1], False, 3, 5),  # a tie is no improvement
        ([1, 2, 0.5, 3, 3], False, 3, 5),
        ([1, 2, 3, 3, 3], True, 3, 5),
        ([1, 2, 3, 4, 5], False, 1, 3),
        ([NAN, 5, 6, NAN], False, 2, 4),  # any number is better than NaN
        ([NAN, NAN, NAN], False, 1, 3),
        ([5, 4, 3], False, 3, None),
    ],
)
def test_best_epoch_and_end_with_patience_two(values, larger, best_epoch, exhausted_after):
    model, early, ended = nn.Linear(1, 1), EarlyStopping(2, larger), None
    for epoch, value in enumerate(values, start=1):
        with torch.no_grad():
            model.weight.fill_(epoch)
        early.look(epoch, value, model)
        if early.exhausted and ended is None:
            ended = epoch
    assert early.best_epoch == best_epoch
    assert float(early.weights["weight"]) == best_epoch
    assert ended == exhausted_after


@pytest.mark.parametrize("monitor", ["loss", "macro_recall"])
def test_fit_ends_with_the_weights_of_the_best_epoch(monitor, seed):
    train, val, kept = images(40, seed), images(15, seed + 1), {}
    # the labels of validation are shuffled, so that the best epoch comes early
    val = torch.utils.data.TensorDataset(val.tensors[0], val.tensors[1].roll(1))
    model, config = cnn(seed), TrainConfig(epochs=30, batch=8, lr=0.05, patience=3, monitor=monitor)

    def keep(epoch, record):
        kept[epoch] = ({name: value.clone() for name, value in model.state_dict().items()}, record)

    result = fit(model, train, val, config, task="classification", seed=seed, on_epoch=keep)
    better = max if monitor == "macro_recall" else min
    scores = [record["val"][monitor] for _, record in kept.values()]
    assert result.best_epoch == scores.index(better(scores)) + 1
    assert result.stopped_epoch == len(result.epochs) == result.best_epoch + 3 < 30
    best, _ = kept[result.best_epoch]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


def test_best_weights_are_restored_when_epochs_run_out_first(seed):
    train, kept = classes(24, seed), {}
    model = mlp(seed)

    def keep(epoch, record):
        kept[epoch] = [value.detach().clone() for value in model.parameters()], record["val"]["loss"]
        with torch.no_grad():
            model[2].bias += 5.0  # spoil every next epoch

    config = TrainConfig(epochs=3, batch=8, lr=1e-4, patience=9)
    result = fit(model, train, train, config, task="classification", seed=seed, on_epoch=keep)
    assert result.stopped_epoch is None
    losses = [loss for _, loss in kept.values()]
    assert result.best_epoch == losses.index(min(losses)) + 1
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), kept[result.best_epoch][0], strict=True))


def test_without_patience_the_last_weights_stay(seed):
    data = classes(24, seed)
    short, long = mlp(seed), mlp(seed)
    options = {"task": "classification", "seed": seed}
    result = fit(short, data, data, TrainConfig(epochs=3, batch=8, lr=1.0), **options)
    other = fit(
        long, data, data, TrainConfig(epochs=3, batch=8, lr=1.0, patience=100, monitor="ece"), **options
    )
    assert (result.best_epoch, result.stopped_epoch) == (3, None)
    assert result.epochs == other.epochs
    assert same(short, long) == (other.best_epoch == 3)
