"""Skorch: the fit is that of a plain loop, and of one fit in two sessions."""

import pickle
import warnings

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what skorch says while it is imported is not about us
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

from dropkit.adapters.skorch import DropkitCallback
from dropkit.core import PlanError, StreamError
from tests.adapters.loops import BATCH, by_hand, close, data, net, nothing_left, plan, same, weights


class Accumulating(NeuralNetClassifier):
    """As skorch's FAQ has it: an optimiser step every third batch."""

    def __init__(self, *args, every=3, **kwargs):
        super().__init__(*args, **kwargs)
        self.every = every

    def initialize(self):
        self.seen = 0
        return super().initialize()

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) / self.every

    def train_step(self, batch, **fit_params):
        step = self.train_step_single(batch, **fit_params)
        self.seen += 1
        if self.seen % self.every == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


class PowerCut(Callback):
    def on_batch_end(self, net, training=False, **kwargs):
        raise RuntimeError("power cut")


def make(callback, kind=NeuralNetClassifier, epochs=2, others=(), **options):
    return kind(
        net,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=epochs,
        lr=0.1,
        batch_size=BATCH,
        train_split=None,
        callbacks=[callback, *others],
        verbose=0,
        **options,
    )


def callback(seed, **options):
    return DropkitCallback(seed, **({"plan": plan()} | options))


def test_a_fit_is_that_of_a_plain_loop(seed):
    fitted = make(callback(seed)).fit(*data())
    assert same(weights(fitted.module_), by_hand(seed, 12))
    assert nothing_left(fitted.module_)
    assert "fit_loop" not in vars(fitted)
    assert same(weights(fitted.fit(*data()).module_), by_hand(seed, 12))  # begins again, as skorch does


def test_accumulated_batches_share_a_step(seed):
    fitted = make(callback(seed), Accumulating).fit(*data())
    assert close(weights(fitted.module_), by_hand(seed, 4, accumulate=3))
    assert not close(weights(fitted.module_), by_hand(seed, 4, accumulate=3, attached=plan(steps=7)))


def test_partial_fits_are_one_fit(seed):
    fitted = make(callback(seed)).fit(*data())
    fitted.partial_fit(*data())
    assert same(weights(fitted.module_), by_hand(seed, 24))


@pytest.mark.parametrize("given", [True, False])
def test_a_fit_in_two_sessions_is_one_fit(seed, tmp_path, given):
    files = {
        "f_params": tmp_path / "p.pt",
        "f_optimizer": tmp_path / "o.pt",
        "f_history": tmp_path / "h.json",
    }
    files = {name: str(path) for name, path in files.items()}
    make(callback(seed)).fit(*data()).save_params(**files)
    again = make(callback(seed) if given else DropkitCallback(seed)).initialize()
    again.load_params(**files)
    again.partial_fit(*data())
    assert same(weights(again.module_), by_hand(seed, 24))
    assert nothing_left(again.module_)


def test_a_net_goes_on_after_pickling(seed):
    fitted = pickle.loads(pickle.dumps(make(callback(seed)).fit(*data())))
    fitted.partial_fit(*data())
    assert same(weights(fitted.module_), by_hand(seed, 24))


def test_another_seed_or_plan_than_the_historys_is_refused(seed):
    fitted = make(callback(seed)).fit(*data())
    for other, error, text in (
        ({"seed": seed + 1}, StreamError, "give the same seed"),
        ({"plan": plan(steps=9)}, PlanError, "trained under another plan"),
    ):
        fitted.set_params(**{f"callbacks__DropkitCallback__{name}": value for name, value in other.items()})
        with pytest.raises(error, match=text):
            fitted.partial_fit(*data())
        assert nothing_left(fitted.module_)
        fitted.set_params(callbacks__DropkitCallback__seed=seed)


def test_an_error_leaves_neither_stream_nor_plan(seed):
    broken = make(callback(seed), others=[PowerCut()])
    with pytest.raises(RuntimeError, match="power cut"):
        broken.fit(*data())
    assert nothing_left(broken.module_)


def test_the_history_prints_as_without(seed, capsys):
    make(callback(seed)).set_params(verbose=1).fit(*data())
    assert "dropkit" not in capsys.readouterr().out
