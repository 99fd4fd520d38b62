"""A run stopped anywhere and continued is, bit for bit, the run that was never stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

import dropkit.nn
from dropkit.train import TrainConfig, fit

from .problems import Items, classes, cnn, images, mlp, same, values

EPOCHS = 4


def dropping(seed: int) -> nn.Module:
    return mlp(seed, dropkit.nn.Dropout(0.4), nn.Dropout(0.2))


RUNS = {
    "sgd": (
        dropping,
        classes,
        TrainConfig(epochs=EPOCHS, batch=8, momentum=0.9, nesterov=True, schedule="linear"),
    ),
    "adam": (dropping, classes, TrainConfig(epochs=EPOCHS, batch=8, optimizer="adam", schedule="cosine")),
    "adamw": (
        dropping,
        classes,
        TrainConfig(epochs=EPOCHS, batch=8, optimizer="adamw", lr=0.01, weight_decay=0.1, max_norm=1.0),
    ),
    "patience": (
        dropping,
        classes,
        TrainConfig(epochs=EPOCHS, batch=8, lr=1.0, patience=1, schedule="step", step_size=2),
    ),
    "images": (
        cnn,
        images,
        TrainConfig(
            epochs=EPOCHS, batch=8, label_smoothing=0.1, augment=["shift", "flip", "rotate", "crop", "cutout"]
        ),
    ),
}


class Stop(Exception):
    pass


def stopping_after(epoch):
    def look(now, record):
        if now > epoch:  # the checkpoint of `epoch` is written by now
            raise Stop

    return look


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("stop", range(1, EPOCHS))
def test_stopped_after_any_epoch_and_continued(name, stop, tmp_path, seed):
    build, data, config = RUNS[name]
    train, val = data(27, seed), data(12, seed + 1)
    options = {"task": "classification", "seed": seed}
    whole_model = build(seed)
    whole = fit(whole_model, train, val, config, **options)

    file = {"checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    try:
        fit(build(seed), train, val, config, **options, **file, on_epoch=stopping_after(stop))
    except Stop:
        pass
    else:
        assert whole.stopped_epoch is not None
        assert whole.stopped_epoch <= stop
    model, done, steps = build(seed + 1), [], []  # other weights: all must come from the file
    result = fit(
        model,
        train,
        val,
        config,
        **options,
        **file,
        on_epoch=lambda epoch, _: done.append(epoch),
        on_step=steps.append,
    )
    assert done == list(range(stop + 1, (whole.stopped_epoch or EPOCHS) + 1))
    assert steps == list(range(4 * stop, whole.steps))
    assert same(model, whole_model)
    assert result.epochs == whole.epochs
    assert (result.status, result.steps, result.best_epoch, result.stopped_epoch) == (
        whole.status,
        whole.steps,
        whole.best_epoch,
        whole.stopped_epoch,
    )


def test_stopped_again_and_again_in_the_middle_of_epochs(tmp_path, seed):
    train, val, config = classes(40, seed), classes(12, seed + 1), RUNS["sgd"][2]
    options = {"task": "classification", "seed": seed}
    whole_model = dropping(seed)
    whole = fit(whole_model, train, val, config, **options)

    def stopping_at(step):
        def look(now):
            if now == step:
                raise Stop

        return look

    for step in (3, 7, 11, 13, 18, 19):
        with pytest.raises(Stop):
            fit(
                dropping(seed),
                train,
                val,
                config,
                **options,
                checkpoint=tmp_path / "run.pt",
                checkpoint_seconds=0,
                on_step=stopping_at(step),
            )
    model = dropping(seed)
    result = fit(model, train, val, config, **options, checkpoint=tmp_path / "run.pt")
    assert result.epochs == whole.epochs
    assert same(model, whole_model)


def test_a_finished_run_is_not_done_again(tmp_path, seed):
    train, config, steps = classes(24, seed), TrainConfig(epochs=3, batch=8, patience=3), []
    options = {
        "task": "classification",
        "seed": seed,
        "checkpoint": tmp_path / "run.pt",
        "checkpoint_seconds": 0,
    }
    first_model, model = mlp(seed), mlp(seed + 1)
    first = fit(first_model, train, train, config, **options)
    assert fit(model, train, train, config, **options, on_step=steps.append) == first
    assert not steps
    assert same(model, first_model)


def test_interval_between_checkpoints_does_not_matter(tmp_path, seed):
    train, config = Items(classes(24, seed)), RUNS["sgd"][2]
    results = []
    for index, interval in enumerate((None, 0, 1e-3, 1e9)):
        model, path = dropping(seed), tmp_path / f"{index}.pt"
        options = {} if interval is None else {"checkpoint": path, "checkpoint_seconds": interval}
        result = fit(model, train, train, config, task="classification", seed=seed, **options)
        assert path.exists() == (interval in (0, 1e-3))
        results.append((result.epochs, model))
    for epochs, model in results[1:]:
        assert epochs == results[0][0]
        assert same(model, results[0][1])


def test_a_diverged_run_diverges_again_at_the_same_step(tmp_path, seed):
    train, config = values(24, seed), TrainConfig(epochs=50, batch=8, lr=3.0)
    options = {"task": "regression", "seed": seed, "checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    first = fit(mlp(seed, outputs=2), train, train, config, **options)
    again = fit(mlp(seed, outputs=2), train, train, config, **options)
    assert first.status == again.status == "diverged"
    assert (first.diverged_epoch, first.diverged_step) == (again.diverged_epoch, again.diverged_step)
    assert again.epochs == first.epochs


PROGRAM = """
import sys, torch
from tests.train.problems import classes
from tests.train.test_resume import dropping
from dropkit.train import TrainConfig, fit
path, seed = sys.argv[1], int(sys.argv[2])
config = TrainConfig(epochs=60, batch=8, momentum=0.9, schedule="linear")
print("ready", flush=True)
fit(dropping(seed), classes(40, seed), classes(10, seed), config, task="classification", seed=seed,
    checkpoint=path, checkpoint_seconds=0, on_epoch=lambda epoch, record: print(epoch, flush=True))
"""


def test_killed_without_warning_and_continued(tmp_path, seed):
    path = tmp_path / "run.pt"
    config = TrainConfig(epochs=60, batch=8, momentum=0.9, schedule="linear")
    options = {"task": "classification", "seed": seed}
    train, val, model, whole_model = classes(40, seed), classes(10, seed), dropping(seed), dropping(seed)
    whole = fit(whole_model, train, val, config, **options)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(seed)], stdout=subprocess.PIPE, env=environment
    ) as process:
        while process.stdout.readline() not in (b"9\n", b""):
            pass
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    epochs = []
    result = fit(
        model, train, val, config, **options, checkpoint=path, on_epoch=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs[0] >= 9
    assert result.epochs == whole.epochs
    assert same(model, whole_model)


def test_history_holds_the_same_floats_after_a_round_trip(tmp_path, seed):
    data, config = values(20, seed), TrainConfig(epochs=2, batch=8, lr=0.01)
    options = {"task": "regression", "seed": seed, "checkpoint": tmp_path / "run.pt", "checkpoint_seconds": 0}
    first = fit(mlp(seed, outputs=2), data, data, config, **options)
    saved = torch.load(tmp_path / "run.pt", weights_only=True)["state"]["history"]
    assert [repr(record) for record in saved] == [repr(record) for record in first.epochs]
