"""Thin modules over ``dropkit.ops``. Importing this room fills the catalogue with them."""

from dropkit.nn.conditional import (
    AttentionBasedDropout,
    Conditional,
    ContextualDropout,
    GuidedDropout,
    LimaDropout,
    Standout,
)
from dropkit.nn.learned import (
    ConcreteDropout,
    ConcreteDropout1d,
    ConcreteDropout2d,
    ConcreteDropout3d,
    InformationDropout,
    LearnableBernoulli,
    SparseVariational,
    VariationalDropout,
    VariationalWeights,
)
from dropkit.nn.paths import (
    DropPath,
    FractalDropPath,
    LayerDrop,
    ShakeDrop,
    ShakeShake,
    StochasticDepth,
    Swapout,
)
from dropkit.nn.plastic import (
    DropIn,
    ExcitationDropout,
    HomeostaticDropout,
    NeuronDropIn,
    QuantalSynapticDilution,
)
from dropkit.nn.spatial import SpatialDropout1d, SpatialDropout2d, SpatialDropout3d
from dropkit.nn.units import AlphaDropout, Dropout, FeatureAlphaDropout, GaussianDropout
from dropkit.nn.weights import DropConnect, Mixout, TargetedUnitDropout, TargetedWeightDropout, WeightDrop

__all__ = [
    "AlphaDropout",
    "AttentionBasedDropout",
    "ConcreteDropout",
    "ConcreteDropout1d",
    "ConcreteDropout2d",
    "ConcreteDropout3d",
    "Conditional",
    "ContextualDropout",
    "DropConnect",
    "DropIn",
    "DropPath",
    "Dropout",
    "ExcitationDropout",
    "FeatureAlphaDropout",
    "FractalDropPath",
    "GaussianDropout",
    "GuidedDropout",
    "HomeostaticDropout",
    "InformationDropout",
    "LayerDrop",
    "LearnableBernoulli",
    "LimaDropout",
    "Mixout",
    "NeuronDropIn",
    "QuantalSynapticDilution",
    "ShakeDrop",
    "ShakeShake",
    "SparseVariational",
    "SpatialDropout1d",
    "SpatialDropout2d",
    "SpatialDropout3d",
    "Standout",
    "StochasticDepth",
    "Swapout",
    "TargetedUnitDropout",
    "TargetedWeightDropout",
    "VariationalDropout",
    "VariationalWeights",
    "WeightDrop",
]
