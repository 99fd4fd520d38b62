"""Plain-torch models and data loaders for studies."""

from dropkit.zoo.alexnet import AlexNet, alexnet_plan_rules
from dropkit.zoo.build import MODEL_NAMES, build_model
from dropkit.zoo.cnn import CNN
from dropkit.zoo.data import Data, Inputs, Task
from dropkit.zoo.factory import call_factory, load_factory
from dropkit.zoo.fetch import fetch
from dropkit.zoo.idx_sets import default_dir
from dropkit.zoo.load import DATA_NAMES, load_data
from dropkit.zoo.mlp import MLP
from dropkit.zoo.rows import load_rows

__all__ = [
    "CNN",
    "DATA_NAMES",
    "MLP",
    "MODEL_NAMES",
    "AlexNet",
    "Data",
    "Inputs",
    "Task",
    "alexnet_plan_rules",
    "build_model",
    "call_factory",
    "default_dir",
    "fetch",
    "load_data",
    "load_factory",
    "load_rows",
]
