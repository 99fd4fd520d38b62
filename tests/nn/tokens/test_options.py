"""Options of the modules for tokens: kept, checked, printed, and handed to the op."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError, RateError
from dropkit.random import stream

CASES = [
    (dk.nn.DropHead, dk.ops.drop_head, {"heads": 2}, (6, 3, 4)),
    (dk.nn.TokenDropout, dk.ops.token_dropout, {"spare": 1, "untouched": 0.5}, (9, 5, 2)),
    (dk.nn.PatchDropout, dk.ops.patch_dropout, {"spare": 3}, (6, 12, 2)),
    (dk.nn.DropDim, dk.ops.drop_dim, {"choice": "span"}, (6, 2, 12)),
    (dk.nn.LockedDropout, dk.ops.locked_dropout, {"batch_first": False}, (2, 6, 9)),
]


@pytest.mark.parametrize(
    ("module", "op", "options", "shape"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_options_reach_the_op_and_are_printed(module, op, options, shape, seed):
    x = torch.arange(1.0, 1 + torch.Size(shape).numel()).view(shape)
    layer, plain = module(0.5, **options), module(0.5)
    same = []
    for step in range(30):
        with stream(seed, step=step):
            y = layer(x)
        with stream(seed, step=step):
            assert torch.equal(y, op(x, 0.5, training=True, **options))
        with stream(seed, step=step):
            same.append(y.shape == plain(x).shape and torch.equal(y, plain(x)))
    assert not all(same)
    for name, value in options.items():
        assert f"{name}={value!r}" in repr(layer)
        assert name not in repr(plain)


def test_scores_reach_hidden_cut(seed):
    scores = torch.zeros(200, 10)
    scores[:, 4:8] = 1.0
    with stream(seed):
        y = dk.nn.HiddenCut(0.1)(torch.ones(200, 10, 1), scores)
    assert set((y[..., 0] == 0).int().argmax(1).tolist()) == {4, 5, 6, 7}


@pytest.mark.parametrize(
    ("module", "options", "error"),
    [
        (dk.nn.DropHead, {"heads": 0}, OptionError),
        (dk.nn.TokenDropout, {"spare": -1}, OptionError),
        (dk.nn.TokenDropout, {"untouched": 2.0}, RateError),
        (dk.nn.PatchDropout, {"spare": -1}, OptionError),
        (dk.nn.DropDim, {"choice": "all"}, OptionError),
        (dk.nn.ModalityDropout, {"sizes": (0,)}, OptionError),
    ],
)
def test_an_illegal_option_is_refused_when_it_is_given(module, options, error):
    with pytest.raises(error, match=f"{next(iter(options))} must be"):
        module(0.5, **options)
