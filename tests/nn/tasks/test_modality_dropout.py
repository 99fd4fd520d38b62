"""The module form of modality dropout: one input that holds all modalities, or one each."""

import pytest
import torch

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.nn import ModalityDropout
from dropkit.random import mask, stream


def test_several_inputs_share_the_coins_of_one_that_holds_all(seed, rng):
    sound, picture, text = (torch.randn(50, *tail, generator=rng) for tail in ((3,), (2, 4, 4), ()))
    layer = ModalityDropout(0.5, site="s")
    with stream(seed):
        outputs = layer(sound, picture, text)
    kept = torch.from_numpy(mask((50, 3), 0.5, seed=seed, site="s"))
    for m, (x, y) in enumerate(zip((sound, picture, text), outputs, strict=True)):
        assert torch.equal(y, torch.where(kept[:, m].view(-1, *[1] * (x.ndim - 1)), x, 0.0))
    stacked = torch.ones(50, 3)
    with stream(seed):
        assert torch.equal(layer(stacked) != 0, kept)


def test_options_reach_the_op(rng):
    assert (ModalityDropout(1.0, at_least_one=True)(torch.ones(100, 3)).sum(1) == 1).all()
    pair = ModalityDropout(1.0, at_least_one=True)(torch.ones(100), torch.ones(100))
    assert torch.equal(pair[0] + pair[1], torch.ones(100))
    y = ModalityDropout(0.5, sizes=(2, 4))(torch.ones(500, 6))
    assert torch.equal(y[:, :2].sum(1) / 2, y[:, 0])
    assert torch.equal(y[:, 2:].sum(1) / 4, y[:, 5])
    assert 0 < (y[:, 0] != y[:, 5]).sum() < 500


def test_eval_mode_returns_the_inputs_themselves():
    layer, a, b = ModalityDropout(0.5).eval(), torch.ones(3), torch.ones(3, 2)
    out = layer(a, b)
    assert out[0] is a
    assert out[1] is b


def test_it_prints_its_options():
    text = repr(ModalityDropout(0.25, sizes=[2, 4], at_least_one=True))
    assert text == "ModalityDropout(rate=0.25, sizes=(2, 4), at_least_one=True)"


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"one batch axis \(N, \*\), got \(3,\), \(4, 2\)"):
        ModalityDropout(0.5)(torch.ones(3), torch.ones(4, 2))
    with pytest.raises(ShapeError, match=r"got \(\), \(\)"):
        ModalityDropout(0.5)(torch.tensor(1.0), torch.tensor(1.0))
    with pytest.raises(OptionError, match=r"without sizes several, got 2 with sizes=\(1, 2\)"):
        ModalityDropout(0.5, sizes=(1, 2))(torch.ones(3), torch.ones(3))
    with pytest.raises(OptionError, match="got 0 with sizes=None"):
        ModalityDropout(0.5)()
    with pytest.raises(DtypeError, match=r"torch\.int64"):
        ModalityDropout(0.5)(torch.ones(3), torch.ones(3).long())
