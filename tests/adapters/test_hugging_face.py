"""Hugging Face: the training is that of a plain loop, and of one training in two sessions."""

import json

import pytest
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

import dropkit as dk
from dropkit.adapters.hugging_face import DropkitCallback
from dropkit.core import PlanError, StreamError
from dropkit.random.stream import innermost
from tests.adapters.loops import BATCH, data, net, nothing_left, plan, same, weights


class Wrapped(nn.Module):
    """As models for a Trainer are: keywords in, a dict with the loss out."""

    def __init__(self, fail_at=None):
        super().__init__()
        self.net = net()
        self.fail_at, self.calls = fail_at, 0

    def forward(self, x, labels):
        self.calls += 1
        if self.calls == self.fail_at:
            raise RuntimeError("power cut")
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Plain(Trainer):
    """Batches in their order, so that a plain loop can be compared."""

    def _get_train_sampler(self, *args):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def rows():
    return [{"x": x, "labels": y} for x, y in zip(*data(), strict=True)]


@pytest.fixture
def make(tmp_path):
    def trainer(callback, *, epochs=2, model=None, folder="run", **options):
        model = Wrapped() if model is None else model
        arguments = TrainingArguments(
            tmp_path / folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=0.1,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            save_strategy="epoch",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            **options,
        )
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        return Plain(model, arguments, train_dataset=rows(), callbacks=[callback], optimizers=(sgd, None))

    return trainer


def planned(steps=20):
    model = Wrapped()
    inner = plan(steps).rules[0]
    return dk.plan(model, [inner])


def callback(seed, **options):
    return DropkitCallback(seed, **({"plan": planned()} | options))


def in_net(model):
    """The plan of ``planned``, for the part of it that a plain loop trains."""
    return weights(model.net)


class Prefixed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.net = inner

    def forward(self, x):
        return self.net(x)


def test_a_training_is_that_of_a_plain_loop(make, seed):
    trainer = make(callback(seed))
    trainer.train()
    model, (x, y) = Prefixed(net()), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with dk.plan(model, planned().rules).apply(model), dk.random.stream(seed):
        for step in range(12):
            optimizer.zero_grad()
            part = slice(step * BATCH % len(x), step * BATCH % len(x) + BATCH)
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            dk.step()
    assert same(in_net(trainer.model), weights(model))
    assert nothing_left(trainer.model)


def test_accumulated_batches_share_a_step(make, seed):
    trainer = make(callback(seed), gradient_accumulation_steps=3)
    steps = []
    hook = trainer.model.net.register_forward_pre_hook(lambda *_: steps.append(innermost().step))
    trainer.train()
    hook.remove()
    assert steps == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("given", [True, False])
def test_a_training_in_two_sessions_is_one_training(make, seed, tmp_path, given):
    whole = make(callback(seed), epochs=4, folder="whole")
    whole.train()
    half = tmp_path / "whole" / "checkpoint-12"
    assert json.loads((half / "trainer_state.json").read_text())["stateful_callbacks"]["DropkitCallback"]
    again = make(callback(seed) if given else DropkitCallback(seed), epochs=4, folder="again")
    again.train(resume_from_checkpoint=str(half))
    assert same(in_net(again.model), in_net(whole.model))
    assert nothing_left(again.model)


def test_another_seed_or_plan_than_the_checkpoints_is_refused(make, seed, tmp_path):
    make(callback(seed), epochs=1).train()
    one = str(tmp_path / "run" / "checkpoint-6")
    for other, error, text in (
        (callback(seed + 1), StreamError, "give the same seed"),
        (callback(seed, plan=planned(steps=9)), PlanError, "trained under another plan"),
    ):
        with other, pytest.raises(error, match=text):
            make(other, epochs=2).train(resume_from_checkpoint=one)


def test_an_error_leaves_neither_stream_nor_plan(make, seed):
    model = Wrapped(fail_at=4)
    with pytest.raises(RuntimeError, match="power cut"), callback(seed) as masks:
        make(masks, model=model).train()
    assert nothing_left(model)
    with callback(seed) as masks:  # the same callback goes on where there is no block
        again = make(masks, model=Wrapped(fail_at=4))
        with pytest.raises(RuntimeError, match="power cut"):
            again.train()
        again.model.fail_at = None
        again.train()
        assert nothing_left(again.model)


def test_a_callback_made_from_its_state_is_the_same(seed):
    first = callback(seed)
    assert DropkitCallback.from_state(json.loads(json.dumps(first.state()))).state() == first.state()


def test_two_of_them_are_refused(make, seed):
    trainer = make(callback(seed))
    second = callback(seed, plan=None)
    trainer.add_callback(second)
    with second, pytest.raises(StreamError, match="more than one DropkitCallback"):
        trainer.train()
