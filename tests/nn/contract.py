"""How the contract suite calls an entry of the catalogue, and which promises an entry does not make, and why.

An exception is checked, too: a test that passes in spite of it fails, so that the table cannot rot.
"""

import inspect
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

import dropkit as dk

# what holds of every wrapper that drops weights of a layer
WEIGHTS = {
    "eval": "the layer computes in eval mode, too",
    "share": "it drops weights, not what goes through",
    "subset": "it drops weights, not what goes through",
}

# what holds of every op that takes several tensors
SEVERAL = {
    "eval": "it returns the sum or mean of its inputs",
    "chunks": "it takes several tensors; see its own tests",
    "empty": "it takes several tensors; see its own tests",
    "meta": "it takes several tensors; see its own tests",
}
TWO_TERMS = {
    "share": "what is left of another input is no zero",
    "subset": "what is left of another input is no zero",
}

# what holds of every module whose rate is a parameter of its own
LEARNED = {
    "rate zero": "it learns its rate, which is above 0",
    "tensor rates": "it learns its rate, and takes numbers to start from",
    "eval without a step": "it learns its rate, and takes numbers to start from",
}
RELAXED = {
    **LEARNED,
    "rate one": "it learns its rate, which is below 1",
    "share": "its mask is relaxed, and drops nothing to exact zero",
    "subset": "its mask is relaxed, and drops nothing to exact zero",
}
# what holds of every schedule
SCHEDULED = {
    "no stream": "only a stream says which step it is",
    "meta": "only a stream says which step it is",
}
FROM_ZERO = SCHEDULED | {"random": "its rate is 0 at step 0"}
NOISE = {
    "share": "it drops nothing to exact zero",
    "subset": "it drops nothing to exact zero",
    "rate one": "its variance would be infinite",
}
LINEAR = {"eval": "the linear layer in it computes in eval mode, too"}

# what holds of ensembles of fixed members
FIXED = {
    "random": "its members are fixed; steps and ranks change nothing",
    "no stream": "its members are fixed",
    "eval": "it is the same ensemble in eval mode",
}

# what holds of losses over the outputs of two passes
PENALTY = {
    "chunks": "it returns a loss",
    "empty": "it returns a loss",
    "eval": "it returns a loss",
    "meta": "it returns a loss",
    "no stream": "it draws nothing",
    "random": "it draws nothing",
}

WHOLE = "its input and output are numbers of tokens; see its own tests"

# name of the variant -> promise -> why it is not made; the promises are the arguments of `promised` below
EXCEPTIONS: dict[str, dict[str, str]] = {
    "gaussian_dropout": NOISE,
    "uniform_dropout": NOISE,
    "fast_dropout": {**NOISE, **LINEAR},
    "shakeout": {
        **LINEAR,
        "share": "it reverses contributions, and drops none",
        "subset": "it reverses contributions, and drops none",
    },
    "drop_activation": {
        "eval": "it returns its mean in eval mode, a leaky ReLU",
        "eval without a step": "its slope in eval mode is the rate",
        "share": "it drops an activation function, not its input",
        "subset": "it drops an activation function, not its input",
    },
    "marginalised_dropout": {
        "chunks": "it returns a loss",
        "empty": "it returns a loss",
        "eval": "it returns a loss",
        "meta": "it returns a loss",
        "no stream": "it draws nothing",
        "random": "it draws nothing",
        "rate one": "its loss would be infinite",
        "share": "it returns a loss",
        "subset": "it returns a loss",
    },
    "expectation_linear": PENALTY,
    "fraternal_dropout": PENALTY,
    "r_drop": PENALTY,
    "simcse_pairs": PENALTY,
    "drop_filter": {"share": "all samples share a filter's coin"},
    "cutout": {"share": "the rate is that of losing a square"},
    "random_erasing": {"share": "the rate is that of losing a rectangle"},
    "drop_edge": {
        "chunks": "edges are no batch",
        "empty": "edges are no batch",
        "eval": "it returns edges with their attributes",
        "meta": "how many edges are left is known only with the mask",
        "share": "what it drops is not there afterwards",
        "subset": "what it drops is not there afterwards",
        "vmap": "how many edges are left depends on the mask",
    },
    "drop_node": {"chunks": "nodes are no batch"},
    "drop_message": {
        "chunks": "nodes are no batch",
        "empty": "nodes are no batch",
        "eval": "it returns messages, not nodes",
        "meta": "it takes edges, too",
        "share": "it takes edges, too",
        "subset": "it takes edges, too",
    },
    "drop_connect": WEIGHTS,
    "mixout": WEIGHTS,
    "targeted_unit_dropout": WEIGHTS,
    "targeted_weight_dropout": WEIGHTS,
    "weight_drop": {
        **WEIGHTS,
        "chunks": "it returns states, whose batch axis is the second",
        "compile": "the compiler breaks its graph at recurrent layers",
        "empty": "it returns states beside its output",
        "meta": "it returns states beside its output",
        "vmap": "torch's recurrent layers take no batch of weights",
    },
    "fractal_drop_path": SEVERAL | TWO_TERMS,
    "layer_drop": {
        "eval": "the layers compute in eval mode, too",
        "share": "it drops layers, not what goes through",
        "subset": "it drops layers, not what goes through",
    },
    "shake_drop": {
        "eval": "it multiplies by the mean factor, as the paper does",
        "eval without a step": "the mean factor is a function of the rate",
        "gradients": "its gradient is not the derivative, by design",
        "share": "it drops nothing to exact zero",
        "subset": "it drops nothing to exact zero",
    },
    "shake_shake": SEVERAL | {"gradients": "its gradient is not the derivative, by design"},
    "swapout": SEVERAL | TWO_TERMS,
    "concrete_dropout": RELAXED,
    "concrete_dropout1d": RELAXED,
    "concrete_dropout2d": RELAXED,
    "concrete_dropout3d": RELAXED,
    "variational_dropout": {
        "share": "it drops nothing to exact zero",
        "subset": "it drops nothing to exact zero",
        **LEARNED,
    },
    "variational_weights": {
        "eval": "it is the layer it wraps",
        "share": "it drops nothing to exact zero",
        "subset": "it drops nothing to exact zero",
        **LEARNED,
    },
    "sparse_variational": {"eval": "it is the layer it wraps, without its needless weights"},
    "learnable_bernoulli": {
        **LEARNED,
        "rate one": "it learns its rate, which is inside (0, 1)",
    },
    "conditional": {
        "gradients": "its rates come from the input, by which a hard mask cannot be differentiated"
    },
    "standout": {"eval": "it wraps a layer, and takes the mean"},
    "guided_dropout": {
        "eval": "its strengths multiply the input",
        "share": "units of the inactive region are kept",
    },
    "attention_based_dropout": {
        "rate zero": "the importance map acts where the salient region is not hidden",
    },
    "excitation_dropout": {
        "eval": "it is the layers it wraps",
        "share": "it drops features, not class scores",
        "subset": "it drops features, not class scores",
        "gradients": "its rates come from the input, by which a mask cannot be differentiated",
    },
    "quantal_synaptic_dilution": {"rate zero": "the size of a quantum is random at any rate"},
    "drop_in": {
        "eval": "it wraps a layer",
        "share": "what is dropped is replaced by the input",
        "subset": "what is dropped is replaced by the input",
        "eval without a step": "it takes the mean in eval mode, which needs the rate",
    },
    "neuron_drop_in": {
        "eval": "it wraps layers",
        "share": "it drops neurons, not outputs",
        "subset": "it drops neurons, not outputs",
    },
    "annealed": SCHEDULED,
    "cosine_schedule": SCHEDULED,
    "curriculum": FROM_ZERO,
    "early_dropout": SCHEDULED,
    "late_dropout": FROM_ZERO,
    "linear_schedule": SCHEDULED,
    **{
        name: {
            "eval": "eval mode returns what the network returns",
            "chunks": "it returns a tuple; see its own tests",
            "share": "its outputs are states of a network",
            "subset": "its outputs are states of a network",
            "empty": "it returns a tuple",
            "meta": "it returns a tuple",
            "compile": "torch.compile takes no nn.LSTM, unless told to; see its own tests",
        }
        for name in ("recurrent_dropout", "rnn_drop", "variational_rnn", "zoneout")
    },
    "embedding_dropout": {
        "eval": "it turns tokens into vectors",
        "share": "it turns tokens into vectors",
        "subset": "it turns tokens into vectors",
        "empty": "it turns tokens into vectors",
        "meta": "it turns tokens into vectors",
        "gradients": "its input is no floating-point tensor; see its own tests",
        "checkpoint": "its input is no floating-point tensor; see its own tests",
    },
    "word_dropout": {
        "random": WHOLE,
        "dtypes": WHOLE,
        "gradients": WHOLE,
        "checkpoint": WHOLE,
        "rate one": WHOLE,
        "share": WHOLE,
        "subset": WHOLE,
    },
    "stochastic_filter_groups": {"eval": "units of other tasks are zero in eval mode, too"},
    "task_dropout": {
        "random": "its masks are drawn once, when it is made",
        "no stream": "its masks are drawn once, when it is made",
        "eval": "units of other tasks are zero in eval mode, too",
        "eval without a step": "units of other tasks are zero in eval mode, too",
    },
    "drop_key": {"share": "a dropped score is -32768, not zero"},
    "patch_dropout": {
        "share": "what is dropped is gone",
        "subset": "what is dropped is gone",
        "empty": "the output is shorter",
        "meta": "the output is shorter",
    },
    "batch_ensemble": FIXED,
    "masksembles": FIXED,
    "multi_sample_dropout": {
        "eval": "the head computes in eval mode, too",
        "share": "it drops what goes into the head, and means its outputs",
        "subset": "it drops what goes into the head, and means its outputs",
    },
    "alpha_dropout": {"share": "a dropped unit is SELU's saturation value, not zero"},
    "feature_alpha_dropout": {"share": "a dropped unit is SELU's saturation value, not zero"},
}
EXCEPTIONS["zoneout"]["eval without a step"] = "eval mode takes means, which depend on the rate"


# name of the variant -> largest rate that `made` gives it
LARGEST = {"variational_dropout": 0.4, "variational_weights": 0.4}  # they learn rates below 1/2


# exceptions in spite of which a test may pass, by chance of the weights and masks
BY_CHANCE = {
    ("drop_connect", "subset"),
    ("mixout", "subset"),
    ("targeted_unit_dropout", "subset"),
    ("targeted_weight_dropout", "subset"),
}


def entries():
    """Return every variant as a parameter of a test."""
    return [pytest.param(v, id=v.name) for v in dk.catalogue()]


def promised(promise):
    """Parametrise a test over the entries; one that is excepted from ``promise`` has to fail it."""
    return pytest.mark.parametrize(
        "entry",
        [
            pytest.param(
                v,
                id=v.name,
                marks=[
                    pytest.mark.xfail(
                        strict=(v.name, promise) not in BY_CHANCE, reason=EXCEPTIONS[v.name][promise]
                    )
                ]
                if promise in EXCEPTIONS.get(v.name, {})
                else [],
            )
            for v in dk.catalogue()
        ],
    )


def has_rate(entry):
    """Whether the entry's module has a rate that can be set."""
    return entry.default_rate is not None and hasattr(entry.example()[0], "rate")


def is_plain(entry):
    """Whether the entry is ``op(x, rate)`` on one tensor, with a module that holds nothing but the rate."""
    return entry.kind == "op" and entry.op is not None and isinstance(entry.example()[1], Tensor)


def options(entry, module):
    """Return the options of a plain entry's op, as its module holds them."""
    names = inspect.signature(entry.op).parameters.keys() - {"x", "rate", "training", "generator", "site"}
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


def made(entry, rate=0.5):
    module, inputs = entry.example()
    if has_rate(entry):
        module.rate = min(rate, LARGEST.get(entry.name, 1.0))
    return module.train(), inputs


def call(module, inputs):
    if isinstance(inputs, dict):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)


def run(module, inputs, seed, **key):
    with dk.random.stream(seed, **key):
        return call(module, inputs)


def floats(value):
    """Return the floating-point tensors in ``value``, at any depth."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def map_floats(function, value):
    return tree_map(
        lambda leaf: function(leaf) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf, value
    )


def same(a, b):
    """Whether two outputs are equal bit for bit, NaN equal to NaN."""
    left, spec = tree_flatten(a)
    right, other = tree_flatten(b)
    return spec == other and all(
        torch.equal(x.nan_to_num(nan=7.0), y.nan_to_num(nan=7.0)) if isinstance(x, Tensor) else x == y
        for x, y in zip(left, right, strict=True)
    )


def assert_close(a, b, **tolerance):
    left, spec = tree_flatten(a)
    torch.testing.assert_close(left, tree_flatten(b)[0], equal_nan=True, **tolerance)
    assert spec == tree_flatten(b)[1]


def leaves_requiring_gradients(inputs):
    """Return ``inputs`` with fresh leaves for every float, and the leaves."""
    values, spec = tree_flatten(inputs)
    fresh = [
        v.clone().requires_grad_() if isinstance(v, Tensor) and v.is_floating_point() else v for v in values
    ]
    return tree_unflatten(fresh, spec), [v for v in fresh if isinstance(v, Tensor) and v.requires_grad]


def hoeffding(count):
    """Return how far the mean of ``count`` independent values in [0, 1] strays, but for a chance of 1e-6."""
    return math.sqrt(math.log(2 / 1e-6) / (2 * count))


class Recurring(nn.Module):
    """Feeds a module through smooth functions on both sides, so that a gradient sees its mask twice."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *values):
        return sum(leaf.sin().sum() for leaf in floats(call(self.module, tuple(values))))
