"""What models return, and what of it can be predicted."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import dropkit as dk
from dropkit.core import DataError
from dropkit.infer.outputs import axis_of, check_classes


class Returning(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        self.make = make

    def forward(self, x):
        return self.make(self.net(x))


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda y: y.sum(), "'output' of the model is one number for the whole batch"),
        (lambda y: {"logits": y, "loss": y.mean()}, "'loss' of the model is one number for the whole batch"),
        (lambda y: (y, y), "must return a tensor or a dict of tensors, got a tuple"),
        (lambda y: {"a": {"b": y}}, "'a' of the model is a dict, not"),
        (lambda y: {"a": y, "b": (y,)}, "'b' of the model is a tuple, not"),
        (lambda y: y.argmax(-1), "'output' of the model is a tensor of torch.int64"),
        (lambda y: {}, "returns no tensor"),
        (lambda y: None, "got a NoneType"),
    ],
    ids=["sum", "loss", "tuple", "nested", "dict of tuples", "labels", "empty", "nothing"],
)
def test_what_has_no_samples_or_is_no_tensor_is_refused_by_name(make, text, mode, rng, seed):
    with pytest.raises(DataError, match=text) as caught:
        dk.predict(Returning(make), torch.randn(6, 4, generator=rng), members=5, seed=seed, mode=mode)
    assert "\n" not in str(caught.value)


def test_samples_of_outputs_may_be_first_where_those_of_inputs_are_second(rng, seed):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.LSTM(4, 8, 2, dropout=0.5), nn.Linear(8, 3)

        def forward(self, x):
            return self.out(self.rnn(x)[0][-1])

    network, x = Last(), torch.randn(5, 7, 4, generator=rng)
    whole = dk.predict(network, x, batch_dim=1, members=8, seed=seed, task="classification")
    assert whole.mean.shape == (7, 3)
    assert whole.entropy.shape == (7,)
    loader = DataLoader(list(x.unbind(1)), batch_size=3, collate_fn=lambda rows: torch.stack(rows, 1))
    parts = dk.predict(network, loader, batch_dim=1, members=8, seed=seed, task="classification")
    torch.testing.assert_close(parts.mean, whole.mean)
    torch.testing.assert_close(parts.entropy, whole.entropy)


def test_an_axis_counted_from_the_back_is_that_of_the_inputs(rng, seed):
    network = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4, 3))
    x = torch.randn(6, 4, generator=rng)
    for mode in ("expand", "loop"):
        back = dk.predict(network, x, batch_dim=-2, members=6, seed=seed, mode=mode)
        torch.testing.assert_close(back.mean, dk.predict(network, x, members=6, seed=seed, mode=mode).mean)


@pytest.mark.parametrize(
    ("shapes", "axis", "lengths", "found"),
    [
        ([(4, 3), (2, 3)], 0, [4, 2], 0),
        ([(5, 4, 3), (5, 2, 3)], 1, [4, 2], 1),
        ([(4, 3), (2, 3)], 1, [4, 2], 0),
    ],
)
def test_the_axis_along_which_batches_are_joined(shapes, axis, lengths, found):
    assert axis_of("output", shapes, axis, lengths) == found
    with pytest.raises(DataError, match=r"'output' .* no axis of samples .* shapes \(4, 3\)"):
        axis_of("output", [(4, 3), (4, 3)], 0, [5, 5])


def test_batches_whose_outputs_cannot_be_joined(rng, seed):
    network = nn.Sequential(nn.Embedding(10, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    rows = [torch.randint(0, 10, (3 + i // 2,), generator=rng) for i in range(6)]
    with pytest.raises(
        DataError, match=r"different shapes cannot be joined along axis 0: \(2, 3, 2\), \(2, 4, 2\)"
    ):
        dk.predict(network, DataLoader(rows, batch_size=2), members=4, seed=seed)


def test_probabilities():
    check_classes(torch.tensor([[0.2, 0.8], [0.0, 1.0]]))
    check_classes(torch.full((2, 1000), 1e-3, dtype=torch.bfloat16))
    with pytest.raises(DataError, match=r"must be in \[0, 1\], got -1 to 2"):
        check_classes(torch.tensor([[-1.0, 2.0]]))
    with pytest.raises(DataError, match="must sum to 1 over the classes"):
        check_classes(torch.tensor([[0.5, 0.5], [0.7, 0.8]]))


def classifier(*last):
    return nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 3), *last).eval()


@pytest.mark.parametrize("mode", ["auto", "vmap", "loop"])
def test_probabilities_that_are_taken_for_logits_are_told_of(mode, seed):
    x = torch.randn(20, 6)
    options = {"members": 10, "seed": seed, "task": "classification", "mode": mode}
    with pytest.warns(UserWarning, match="say outputs='probabilities'"):
        dk.predict(classifier(nn.Softmax(-1)), x, **options)
    for quiet in (classifier(), classifier(nn.LogSoftmax(-1)), classifier(nn.Sigmoid())):
        dk.predict(quiet, x, **options)  # warnings are errors in these tests
    dk.predict(classifier(nn.Softmax(-1)), x, **options, outputs="probabilities")
