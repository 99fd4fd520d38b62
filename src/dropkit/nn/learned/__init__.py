"""Learned noise as modules: rates or variances are parameters, trained against a penalty."""

from dropkit.nn.learned.concrete_dropout import (
    ConcreteDropout,
    ConcreteDropout1d,
    ConcreteDropout2d,
    ConcreteDropout3d,
)
from dropkit.nn.learned.information_dropout import InformationDropout
from dropkit.nn.learned.learnable_bernoulli import LearnableBernoulli
from dropkit.nn.learned.sparse_variational import SparseVariational
from dropkit.nn.learned.variational_dropout import VariationalDropout, VariationalWeights

__all__ = [
    "ConcreteDropout",
    "ConcreteDropout1d",
    "ConcreteDropout2d",
    "ConcreteDropout3d",
    "InformationDropout",
    "LearnableBernoulli",
    "SparseVariational",
    "VariationalDropout",
    "VariationalWeights",
]
