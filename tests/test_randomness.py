"""No mask comes from anywhere but a key: not from torch's samplers, NumPy's, or Python's, nor from its dropout."""

import ast
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import dropkit as dk
from dropkit.ops import kernels
from tests.nn.contract import call, entries, made

PACKAGE = Path(__file__).parent.parent / "src" / "dropkit"

SAMPLERS = {
    *(
        "bernoulli",
        "binomial",
        "multinomial",
        "normal",
        "poisson",
        "rand",
        "rand_like",
        "randint",
        "randint_like",
    ),
    *(
        "randn",
        "randn_like",
        "randperm",
        "rrelu",
        "gumbel_softmax",
        "native_dropout",
        "fractional_max_pool2d",
    ),
    *(
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "alpha_dropout",
        "feature_dropout",
        "feature_alpha_dropout",
    ),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "RReLU"),
}
METHODS = {
    *(
        "bernoulli",
        "bernoulli_",
        "cauchy_",
        "exponential_",
        "geometric_",
        "log_normal_",
        "multinomial",
        "normal_",
    ),
    *("random_", "rvs", "uniform_"),
}
MODULES = ("random.", "numpy.random.", "torch.distributions.")
STATE = {
    "getstate",
    "setstate",
    "get_state",
    "set_state",
    "fork_rng",
    "seed",
    "get_rng_state",
    "set_rng_state",
}

#: Where a sampler may be called all the same, and why: none of them makes a mask.
ALLOWED = {
    ("random/draw.py", "torch.randint"): "the one draw of a key outside any stream",
    ("train/run.py", "torch.randperm"): "the order of the batches, from a generator of its own",
    ("train/augment.py", "torch.randint"): "augmentation of the data, from a generator of its own",
    ("train/augment.py", "torch.rand"): "augmentation of the data, from a generator of its own",
    ("stats/bootstrap.py", "numpy.random.default_rng"): "resampling of results",
    ("stats/permutation.py", "numpy.random.default_rng"): "resampling of results",
    ("stats/detection.py", "numpy.random.default_rng"): "resampling of results",
    ("stats/resampling.py", "numpy.random.default_rng"): "resampling of results",
    ("infer/conformal.py", "numpy.random.default_rng"): "what is left out of a randomised set",
    ("infer/acquisition.py", "numpy.random.default_rng"): "joint outcomes of examples that may be labelled",
    ("infer/active.py", "numpy.random.default_rng"): "which examples to have labelled",
    ("zoo/split.py", "numpy.random.Philox"): "the split of a data set",
    ("zoo/split.py", "numpy.random.SeedSequence"): "the split of a data set",
    ("cli/bench/elementwise.py", "torch.nn.functional.dropout"): "what dropkit is measured against",
    ("cli/bench/memory.py", "torch.nn.functional.dropout"): "what dropkit is measured against",
}
#: What names PyTorch's dropout without calling it: to find it in models and take its place, or to look past it.
NAMING = ("surgery/", "infer/", "explain/", "nn/plastic/evidence.py")


def aliases(tree: ast.AST) -> dict[str, str]:
    """Return what each imported name of a module stands for, in full."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{'.' * node.level}{node.module or ''}.{alias.name}"
    return found


def full_name(node: ast.AST, known: dict[str, str]) -> str:
    """Return the dotted name of an expression with its import spelled out; ``?`` for what is no import."""
    if isinstance(node, ast.Name):
        return known.get(node.id, "?")
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, known)}.{node.attr}"
    return "?"


def samplers(source: str) -> set[tuple[str, bool]]:
    """Return the samplers that ``source`` names, each with whether it is called."""
    tree = ast.parse(source)
    known = aliases(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = full_name(node, known)
            first, last = name.partition(".")[0], name.rpartition(".")[2]
            if (
                (first == "torch" and last in SAMPLERS)
                or (name.startswith(MODULES) and last not in STATE)
                or (first == "?" and last in METHODS)
            ):
                found.add((name, id(node) in called))
        elif isinstance(node, ast.Call):
            name = full_name(node.func, known)
            if name == "?" and getattr(node.func, "id", "") == "getattr" and len(node.args) > 1:
                wanted = getattr(node.args[1], "value", None)
                if full_name(node.args[0], known).startswith("torch") and wanted in SAMPLERS | METHODS:
                    found.add((f"torch.{wanted}", True))
            for keyword in node.keywords:
                if (
                    name.startswith("torch.")
                    and keyword.arg in ("dropout", "dropout_p")
                    and getattr(keyword.value, "value", None) != 0.0
                ):
                    found.add((f"{name}({keyword.arg}=)", True))
    return found


def violations(package: Path) -> tuple[list[str], set[tuple[str, str]]]:
    """Return a line for each sampler that has no reason to be there, and the exceptions that were needed."""
    wrong, used = [], set()
    for file in sorted(package.rglob("*.py")):
        where = file.relative_to(package).as_posix()
        for name, is_called in sorted(samplers(file.read_text(encoding="utf-8"))):
            if (where, name) in ALLOWED:
                used.add((where, name))
            elif is_called or not where.startswith(NAMING):
                wrong.append(f"{where} uses {name}")
    return wrong, used


def test_nothing_draws_a_mask_but_from_a_key():
    assert violations(PACKAGE)[0] == []


def test_every_exception_is_needed():
    assert violations(PACKAGE)[1] == set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.bernoulli(p)",
        "import torch as t\nmask = t.rand(3) < 0.5",
        "from torch import rand_like as r\nr(x)",
        "import torch.nn.functional as F\nF.dropout(x, 0.5)",
        "from torch.nn import functional\nfunctional.alpha_dropout(x)",
        "from torch import nn\nself.drop = nn.Dropout(0.5)",
        "from torch import nn\nmake = nn.Dropout2d",
        "import torch\ntorch.nn.functional.dropout(x)",
        "import torch\ntorch.ops.aten.native_dropout(x, 0.5, True)",
        "import torch\ngetattr(torch, 'rand_like')(x)",
        "import torch\ntorch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=rate)",
        "from torch import nn\nnn.LSTM(2, 3, dropout=0.2)",
        "from torch.distributions import Bernoulli\nBernoulli(0.5).sample()",
        "mask = x.new_empty(3).bernoulli_(0.5)",
        "x.clone().normal_()",
        "noise = (x * 0).uniform_()",
        "import numpy as np\nnp.random.rand(3)",
        "from numpy.random import default_rng\ndefault_rng(0)",
        "import random\nrandom.random()",
        "from random import choice\nchoice(x)",
    ],
)
def test_a_planted_violation_is_caught(source, tmp_path):
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "bad.py").write_text(source + "\n")
    assert len(violations(tmp_path)[0]) >= 1


def test_surgery_may_name_what_it_replaces_but_not_call_it(tmp_path):
    (tmp_path / "surgery").mkdir()
    file = tmp_path / "surgery" / "accelerate.py"
    file.write_text("import torch.nn.functional as F\nTAKEN = {F.dropout: 1}\n")
    assert violations(tmp_path)[0] == []
    file.write_text("import torch.nn.functional as F\nF.dropout(x)\n")
    assert violations(tmp_path)[0] == ["surgery/accelerate.py uses torch.nn.functional.dropout"]


def test_what_is_allowed_passes(tmp_path):
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "good.py").write_text(
        "import torch\nfrom dropkit import random\nfrom dropkit.ops import dropout\nfrom dropkit.random import normal\n"
        "dropout(x, 0.5)\nnormal((3,), key)\nrandom.stream(1)\ntorch.nn.init.normal_(weight)\n"
        "torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.0)\n"
    )
    assert violations(tmp_path)[0] == []


class Watch(TorchDispatchMode):
    """Records every operator that draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[str] = []
        self.keys = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            if func.overloadpacket is torch.ops.aten.randint and args[:2] == (2**32, [2]):
                self.keys += 1
            else:
                self.drawn.append(str(func))
        return result


every = pytest.mark.parametrize("entry", entries())
without_stream = pytest.mark.parametrize(  # a schedule counts the steps of one
    "entry", [entry for entry in entries() if entry.values[0].kind != "schedule"]
)


@pytest.fixture(params=["active", "reference"])
def kernel(request):
    """The kernels in use, then the reference."""
    before = kernels.status().active
    kernels.use(before if request.param == "active" else "reference")
    yield
    kernels.use(before)


@every
@pytest.mark.usefixtures("kernel")
def test_in_a_stream_no_operator_of_torch_draws(entry, seed):
    module, inputs = made(entry)
    with dk.random.stream(seed), Watch() as watch:
        call(module, inputs)
    assert (watch.drawn, watch.keys) == ([], 0)


@without_stream
@pytest.mark.usefixtures("kernel")
def test_without_a_stream_nothing_is_drawn_but_keys(entry):
    module, inputs = made(entry)
    with Watch() as watch:
        call(module, inputs)
    assert watch.drawn == []
    assert watch.keys <= 100


@without_stream
def test_a_variant_takes_nothing_but_keys_from_the_global_generators(entry, seed):
    """Outside of any mode: the native kernels, which no mode sees, are looked at too."""
    module, inputs = made(entry)
    others = random.getstate(), np.random.get_state()
    torch.manual_seed(seed)
    call(module, inputs)
    state = torch.get_rng_state()
    assert random.getstate() == others[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), others[1], strict=True))
    torch.manual_seed(seed)
    for _ in range(100):
        if torch.equal(torch.get_rng_state(), state):
            return
        torch.randint(2**32, (2,), dtype=torch.int64)
    pytest.fail("the generator is where no number of keys would have left it")


class Cheating(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.bernoulli(torch.full_like(x, 0.5))


@pytest.mark.parametrize(
    "cheat",
    [
        Cheating(),
        nn.Dropout(0.5),
        nn.AlphaDropout(0.5),
        nn.Dropout2d(0.5),
        nn.RReLU(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_module_that_draws_for_itself_is_caught(cheat):
    with Watch() as watch:
        cheat(torch.ones(4, 4, 4, 4))
    assert len(watch.drawn) >= 1
