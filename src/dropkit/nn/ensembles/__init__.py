"""Ensembles in one model."""

from dropkit.nn.ensembles.batch_ensemble import BatchEnsemble
from dropkit.nn.ensembles.masksembles import Masksembles
from dropkit.nn.ensembles.multi_sample_dropout import MultiSampleDropout

__all__ = ["BatchEnsemble", "Masksembles", "MultiSampleDropout"]
