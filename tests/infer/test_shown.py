"""What the objects of this room look like when printed: short, whatever they hold."""

import numpy as np
import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit import infer
from dropkit.core import DataError


def test_predictions_are_shown_by_shape(seed):
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    p = dk.predict(model, torch.randn(40, 3), members=6, seed=seed, task="regression", keep_members=True)
    assert repr(p) == f"Prediction(mean: (40, 2), n_members=6, mode={p.mode!r}, task='regression')"
    assert repr(infer.with_noise(p, 0.1)) == "NoisyPrediction(mean: (40, 2), members: 6)"


def test_what_was_fitted_shows_what_was_found():
    p, y = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]]), np.array([0, 1, 1, 0])
    scaling = infer.TemperatureScaling().fit(np.log(p), y)
    assert repr(scaling) == f"TemperatureScaling(temperature={scaling.temperature:.4g})"
    sets = infer.ConformalSets(level=0.5)
    assert repr(sets) == "ConformalSets(level=0.5, score='threshold', limit=None)"
    assert repr(sets.fit(p, y)) == f"ConformalSets(level=0.5, score='threshold', limit={sets.limit:.4g})"
    intervals = infer.ConformalIntervals(level=0.5).fit(p[:, 0], y)
    assert repr(intervals) == f"ConformalIntervals(level=0.5, limit={intervals.limit:.4g})"


def test_the_book_shows_how_far_it_is():
    book = infer.ActiveLearning(7, seed=2)
    book.tell([3, 4], [0, 1])
    assert repr(book) == "ActiveLearning(size=7, acquisition='bald', seed=2; 2 labelled)"


def test_a_prediction_in_place_of_its_mean_is_refused_with_what_to_give(seed):
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    p = dk.predict(model, torch.randn(4, 3), seed=seed, task="classification")
    with pytest.raises(DataError, match=r"must be an array, got a Prediction; give .* such as \.mean"):
        infer.ConformalSets().fit(p, [0, 1, 0, 1])
