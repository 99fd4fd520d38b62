"""Lightning: the fit is that of a plain loop, and of one fit in two sessions."""

import warnings

import pytest
import torch
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Lightning says while it is imported is not about us
    from lightning.pytorch import LightningModule, Trainer

import dropkit as dk
from dropkit.adapters.lightning import DropkitCallback
from dropkit.core import PlanError, StreamError
from tests.adapters.loops import BATCH, by_hand, close, data, net, nothing_left, plan, same, weights

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore:.*:FutureWarning")


class Lit(LightningModule):
    def __init__(self, fail_at=None):
        super().__init__()
        self.net = net()
        self.fail_at = fail_at

    def training_step(self, batch, number):
        if number == self.fail_at:
            raise RuntimeError("power cut")
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)


@pytest.fixture
def fit(tmp_path):
    def run(callback, *, epochs=2, model=None, ckpt=None, **options):
        model = Lit() if model is None else model
        trainer = Trainer(
            max_epochs=epochs,
            callbacks=[callback],
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
            **options,
        )
        trainer.fit(model, loader(), ckpt_path=ckpt)
        return model, trainer

    return run


def callback(seed, **options):
    return DropkitCallback(seed, **({"plan": plan()} | options), module="net")


def test_a_fit_is_that_of_a_plain_loop(fit, seed):
    model, _ = fit(callback(seed))
    assert same(weights(model), by_hand(seed, 12))
    assert nothing_left(model.net)
    assert not same(weights(fit(callback(seed + 1))[0]), weights(model))


def test_accumulated_batches_share_a_step(fit, seed):
    model, _ = fit(callback(seed), accumulate_grad_batches=3)
    assert close(weights(model), by_hand(seed, 4, accumulate=3))
    assert not close(weights(model), by_hand(seed, 4, accumulate=3, attached=plan(steps=7)))


@pytest.mark.parametrize("given", [True, False])
def test_a_fit_in_two_sessions_is_one_fit(fit, seed, tmp_path, given):
    whole, _ = fit(callback(seed), epochs=4)
    _, trainer = fit(callback(seed), epochs=2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    again = callback(seed) if given else callback(seed, plan=None)  # the checkpoint has the plan
    model, _ = fit(again, epochs=4, ckpt=tmp_path / "half.ckpt")
    assert same(weights(model), weights(whole))
    assert nothing_left(model.net)


def test_another_seed_or_plan_than_the_checkpoints_is_refused(fit, seed, tmp_path):
    _, trainer = fit(callback(seed), epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    for other, error, text in (
        (callback(seed + 1), StreamError, "give the same seed"),
        (callback(seed, plan=plan(steps=9)), PlanError, "trained under another plan"),
    ):
        model = Lit()
        with pytest.raises(error, match=text):
            fit(other, model=model, ckpt=tmp_path / "one.ckpt")
        assert nothing_left(model.net)


def test_an_error_leaves_neither_stream_nor_plan(fit, seed):
    model = Lit(fail_at=3)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(callback(seed), model=model)
    assert nothing_left(model.net)


def test_without_a_plan_it_brings_the_stream_alone(fit, seed):
    found = []
    for _ in range(2):
        model = Lit()
        model.net = nn.Sequential(*net(), dk.nn.Dropout(0.5))
        fit(DropkitCallback(seed), model=model)
        found.append(weights(model))
    assert same(*found)


def test_a_function_as_a_rate_does_not_end_checkpoints(fit, seed, tmp_path):
    def make():
        return dk.plan(net(), [dk.Rule(at="hidden", rate=lambda step: 0.5)])

    whole, _ = fit(callback(seed, plan=make()), epochs=2)
    _, trainer = fit(callback(seed, plan=make()), epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    model, _ = fit(callback(seed, plan=make()), epochs=2, ckpt=tmp_path / "one.ckpt")
    assert same(weights(model), weights(whole))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"seed": "one"}, StreamError), ({"seed": 1, "plan": "srivastava-2014"}, PlanError)],
)
def test_what_is_no_seed_or_plan_is_refused_where_it_is_given(arguments, error):
    with pytest.raises(error):
        DropkitCallback(**arguments)
