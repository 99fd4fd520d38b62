"""Folded models compute what weight-scaled ones do, and what cannot be folded is refused by name."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.surgery import attached


def drop(rate=0.4):
    return dk.nn.Dropout(rate, scaling="test")


def scaled(model, at, rate=0.3, **options):
    rule = dk.Rule(at=at, rate=rate, options={"scaling": "test"}, **options)
    dk.plan(model, [rule]).apply(model)
    return model


def mlp():
    return nn.Sequential(
        drop(0.1), nn.Linear(12, 8), nn.Tanh(), drop(0.7), nn.Dropout(0.5), nn.Identity(), nn.Linear(8, 6), nn.ReLU(),
        drop(0.2), nn.Linear(6, 3),
    )  # fmt: skip


def image(layer):
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), drop(0.35), *layer
    )


def conv():
    return image([nn.MaxPool2d(2), nn.Conv2d(4, 6, 1), nn.ReLU(), drop(0.9), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                  nn.Linear(6, 3)])  # fmt: skip


def transposed():
    return image([nn.ZeroPad2d(1), nn.ConvTranspose2d(4, 2, 2, stride=2), nn.Flatten()])


class Written(nn.Module):
    """Reshapes with shapes, indexes, multiplies by a number, and one site at two places."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.drop = nn.Linear(12, 8), nn.Linear(4, 5), nn.Linear(5, 2), drop(0.6)

    def forward(self, x):
        h = self.drop(torch.tanh(self.a(x))) * 2.0
        h = self.b(h.view(h.size(0), 2, -1).transpose(0, 1)[1])
        return 0.5 * self.c(-1.5 * self.drop(h.sigmoid()).reshape(h.shape[0], 5))


class Functional(nn.Module):
    """Layers that are calls of functions with its own parameters."""

    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(8, 12)), nn.Parameter(torch.randn(8, 3))
        self.drop = drop(0.25)

    def forward(self, x):
        return self.drop(torch.tanh(F.linear(self.drop(x), self.w))) @ self.v


class Own(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1.0


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(6, 5, batch_first=True, **options)
        self.cell, self.drop, self.head = (
            nn.GRUCell(5 * (1 + self.rnn.bidirectional), 4),
            drop(0.45),
            nn.Linear(4, 2),
        )

    def forward(self, x):
        states, _ = self.rnn(self.drop(x.view(-1, 2, 6)))
        return self.head(self.drop(self.cell(self.drop(states[:, -1]))))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.both, self.drop = (
            nn.Linear(12, 4),
            nn.Linear(12, 5),
            nn.Bilinear(4, 5, 3),
            drop(),
        )

    def forward(self, x):
        return self.both(self.drop(self.a(x)), self.drop(self.b(x).tanh()))


class Calls(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(12, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.c(torch.relu(self.b(F.relu(self.a(x)))))


class Custom(nn.Module):
    def __init__(self, forward, sites=1):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(12, 12), nn.Linear(12, 3), nn.Linear(12, 3)
        self.w, self.gain = nn.Parameter(torch.randn(3, 12)), nn.Parameter(torch.randn(12))
        self.wide, self.rnn = nn.Linear(24, 3), nn.GRU(12, 3, batch_first=True)
        self.attend = nn.MultiheadAttention(12, 2, batch_first=True)
        self.apart = nn.MultiheadAttention(12, 2, kdim=6, vdim=4, batch_first=True)
        self.drop, self.other = drop(), drop() if sites == 2 else None
        self._forward = forward

    def forward(self, x):
        return self._forward(self, self.a(x).tanh())


def halves(n, h):
    first, second = n.drop(h).chunk(2, dim=-1)
    return n.b(torch.cat([second, first], -1))


def attention(n, h):
    q, k, v = (part.reshape(2, 3, 2, 6).transpose(1, 2) for part in (h, h.sin(), h.cos()))
    mixed = n.drop((q @ k.mT).softmax(-1)) @ v
    return n.b(mixed.transpose(1, 2).contiguous().view(6, 12))


STEPS = {
    "two heads": lambda n, h: [d := n.drop(h), {"mean": n.b(d), "log_variance": n.c(d)}][1],
    "halves": halves,
    "attention by hand": attention,
    "one layer twice": lambda n, h: n.b(n.drop(h)) - n.b(n.drop(h.sin())),
    "stacked": lambda n, h: n.b(torch.stack([n.drop(h), n.drop(h.sin())]).sum(0)),
    "like another": lambda n, h: [d := n.drop(h), n.b(d) + n.c(h.sin().view(-1).reshape_as(d))][1],
    "unequal pieces": lambda n, h: n.wide(torch.cat([n.drop(h), h.sin()], -1)),
    "dropped after": lambda n, h: n.wide(n.drop(torch.cat([h, n.drop(h.tanh())], dim=1))),
    "gated": lambda n, h: n.b(n.drop(h) * h.sigmoid()),
    "masked": lambda n, h: n.b(torch.where(h > 0, n.drop(h), 0.0).masked_fill(h > 0.5, 0.0)),
    "transposed weight": lambda n, h: n.drop(h) @ n.w.t() + 1.0,
    "named weight": lambda n, h: F.linear(input=n.drop(h), weight=n.w, bias=n.b.bias),
    "addmm": lambda n, h: torch.addmm(n.b.bias, n.drop(h), n.w.T),
    "einsum": lambda n, h: torch.einsum("ni,oi->no", n.drop(h), n.w),
    "scale": lambda n, h: n.b(torch.relu(n.drop(h) * n.gain)),
    "largest": lambda n, h: n.b(n.drop(h).view(2, 3, 12).amax(1) + n.drop(h).view(2, 3, 12).max(dim=1).values),
    "other forms": lambda n, h: n.b(-n.drop(h).repeat(2, 1).to(torch.float64).type_as(n.w).cumsum(0) / 3),
    "in place": lambda n, h: n.b(n.drop(h).mul_(2.0)),
    "self-attention": lambda n, h: [d := n.drop(h)[None], n.attend(d, d, d, need_weights=False)[0]][1],
}  # fmt: skip

TWO_SITES = {
    """What ``forward`` does with an activation ``h``, which it can drop at ``n.drop`` and ``n.other``."""
    "one layer for two sites": lambda n, h: n.b(n.drop(h)) + n.b(n.other(h.sin())),
    "put together": lambda n, h: n.wide(torch.cat([n.drop(h), n.other(h.sin())], -1)),
    "added": lambda n, h: n.b(n.drop(h) + 0 - n.other(h.sin())),
    "attention to others": lambda n, h: n.apart(n.drop(h)[None], h[None, :, :6], n.other(h)[None, :, :4])[0],
}  # fmt: skip


def packed(n, h):
    data = nn.utils.rnn.pack_padded_sequence(n.drop(h).view(2, 3, 12), [3, 2], batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(n.rnn(data)[0], batch_first=True)[0]


def weight_normed():
    norm = nn.utils.parametrizations.weight_norm
    last = norm(norm(nn.Linear(12, 12)), "bias", dim=None)
    return nn.Sequential(norm(nn.Linear(12, 12)), nn.Tanh(), drop(), last)


class Skipping(nn.Module):
    """Puts an image that was dropped together with one that was not, as U-Nets do."""

    def __init__(self, last):
        super().__init__()
        self.down, self.drop, self.last = nn.Conv2d(1, 4, 3, padding=1), drop(), last

    def forward(self, x):
        image = x.view(-1, 1, 3, 4)
        return self.last(torch.cat([image, self.drop(self.down(image).relu())], dim=1))


class Tables(nn.Module):
    """Embeddings of categories, dropped, and numbers, for a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.table, self.drop, self.cell = nn.Embedding(5, 3), drop(), nn.LSTMCell(15, 4)

    def forward(self, x):
        state, _ = self.cell(torch.cat([self.drop(self.table(x[:, 0].abs().long() % 5)), x], dim=-1))
        return state


class Memory(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x, x.sin())


def transformer(kind):
    options = {"dropout": 0.1, "batch_first": True, "norm_first": kind == "norm first"}
    if kind in ("encoder", "norm first"):
        layer = nn.TransformerEncoderLayer(12, 2, 16, **options)
        model = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12), enable_nested_tensor=False)
    elif kind == "decoder":
        model = Memory(nn.TransformerDecoder(nn.TransformerDecoderLayer(12, 2, 16, **options), 2))
    else:
        model = Memory(nn.Transformer(12, 2, 1, 1, 16, **options))
    return scaled(nn.Sequential(nn.Unflatten(0, (2, 3)), model), "*.linear2", on="input")


def planned_calls():
    return _planned(Calls(), "hidden")


def _planned(model, at, **options):
    rule = dk.Rule(at=at, rate=0.3, options={"scaling": "test"}, **options)
    dk.plan(model, [rule], example_inputs=torch.zeros(2, 12)).apply(model)
    return model


def plain():
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3))


FOLDED = {
    "mlp": mlp,
    "conv": conv,
    "transposed": transposed,
    "written": Written,
    "functional": Functional,
    "subclass": lambda: nn.Sequential(drop(), Own(12, 8), nn.ReLU(), drop(), Own(8, 2)),
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU, bidirectional=True, num_layers=2),
    "rnn": lambda: Recurrent(nn.RNN),
    "bilinear": Two,
    "plan": lambda: scaled(plain(), "hidden"),
    "inputs": lambda: scaled(scaled(plain(), "fc", on="input"), "input"),
    "calls": planned_calls,
    "calls' inputs": lambda: _planned(nn.Sequential(nn.Linear(12, 12), Calls()), ["0", "1.c"], on="input"),
    "accelerated": lambda: _accelerated(mlp()),
    "rates 0 and 1": lambda: nn.Sequential(drop(0.0), nn.Tanh(), drop(1.0), nn.Linear(12, 3)),
    "tensor rate": lambda: nn.Sequential(drop(torch.tensor(0.25)), nn.Linear(12, 3)),
    "weight norm": weight_normed,
    "skipping": lambda: Skipping(nn.Conv2d(5, 2, 3)),
    "skipping up": lambda: Skipping(nn.ConvTranspose2d(5, 2, 2)),
    "tables": Tables,
    **{name: partial(Custom, forward) for name, forward in STEPS.items()},
    **{name: partial(Custom, forward, 2) for name, forward in TWO_SITES.items()},
    **{kind: partial(transformer, kind) for kind in ("encoder", "norm first", "decoder", "whole")},
}


def _accelerated(model):
    dk.accelerate(model)
    return model


@pytest.fixture
def x(rng):
    return torch.randn(6, 12, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_model_computes_the_same(name, watch, x):
    model = FOLDED[name]().double()
    before = copy.deepcopy(model.state_dict())
    folded = dk.infer.fold(model, **({"example_inputs": x} if watch else {}))
    with torch.no_grad():
        expected = model.eval()(x)
        torch.testing.assert_close(folded(x), expected, rtol=1e-9, atol=1e-12)
        if name != "rates 0 and 1":  # or the test would hold without folding
            with pytest.raises(AssertionError):
                torch.testing.assert_close(_unscaled(model)(x), expected)
    assert not folded.training
    assert not any(isinstance(m, dk.nn.Dropout) for m in folded.modules())
    assert not [handle for handle in attached(folded) if handle.sites and name != "accelerated"]
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    with torch.no_grad():  # again: the model is as it was, hooks included
        torch.testing.assert_close(model(x), expected, rtol=0, atol=0)


def _unscaled(model):
    other = copy.deepcopy(model)
    for handle in attached(other):
        handle.revert()
    for module in other.modules():
        if isinstance(module, dk.nn.Dropout):
            module.rate = 0.0
    return other


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self.drop, self.norm, self._forward = (
            nn.Linear(12, 12),
            nn.Linear(12, 12),
            drop(),
            nn.BatchNorm1d(12),
            forward,
        )

    def forward(self, x):
        return self._forward(self, self.a(x))


def net(forward):
    return lambda: Net(forward)


def tied():
    model = nn.Sequential(nn.Linear(12, 12), drop(), nn.Linear(12, 12))
    model[2].weight = model[0].weight
    return model


def tied_to_what_is_not_called():
    model = Net(lambda n, h: n.b(n.drop(h)))
    model.decoder = nn.Linear(12, 12)
    model.decoder.weight = model.b.weight
    return model


class Language(nn.Module):
    """Looks up in the weight of its last layer."""

    def __init__(self):
        super().__init__()
        self.table, self.drop, self.out = nn.Embedding(12, 12), drop(), nn.Linear(12, 12)
        self.out.weight = self.table.weight

    def forward(self, x):
        return self.out(self.drop(self.table(x.abs().long() % 12).tanh()))


class More(dk.nn.Dropout):
    def forward(self, x):
        return super().forward(x) + 1.0


def watched_over():
    model = nn.Sequential(drop(), nn.Linear(12, 12))
    model[0].register_forward_hook(lambda module, args, output: output + 1)
    return model


def replaced():
    model = nn.Sequential(drop(), nn.Linear(12, 12))
    model[0].forward = torch.exp
    return model


def hooked():
    model = nn.Sequential(drop(), nn.Linear(12, 12))
    model[1].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return model


def patched():
    model = nn.Sequential(drop(), nn.Identity(), nn.Linear(12, 12))
    model[1].forward = torch.exp
    return model


BETWEEN = "stands between it and the next linear map"
REFUSED = [
    (lambda: nn.Sequential(nn.Linear(12, 5), drop(), nn.ReLU(), nn.Linear(5, 1)), rf"module '2' \(ReLU\) {BETWEEN}"),
    (lambda: nn.Sequential(drop(), nn.BatchNorm1d(12), nn.Linear(12, 1)), rf"'0' .* '1' \(BatchNorm1d\) {BETWEEN}"),
    (lambda: nn.Sequential(drop(), nn.LayerNorm(12), nn.Linear(12, 1)), r"site '0' .*\(LayerNorm\)"),
    (lambda: nn.Sequential(nn.Linear(12, 4), drop()), "site '1' .* at the end of the model"),
    (lambda: nn.Sequential(nn.Linear(12, 4), drop(), nn.Dropout(), nn.Identity()), "site '1' .* at the end"),
    (lambda: nn.Sequential(drop(), nn.Softmax(-1), nn.Linear(12, 1)), r"site '0' .*\(Softmax\)"),
    (lambda: scaled(nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 1)), "fc"), "site '0' .*'1' \\(ReLU\\)"),
    (lambda: scaled(nn.Sequential(nn.Linear(12, 4), nn.ReLU()), "hidden"), "site '1' .* at the end of the model"),
    (lambda: scaled(nn.Linear(12, 4), "Linear"), "site ':output' .* at the end of the model"),
    (net(lambda n, h: n.b(torch.relu(n.drop(h)))), f"site 'drop' cannot be folded: relu {BETWEEN}"),
    (partial(Custom, lambda n, h: n.b(torch.cat([n.drop(h), h]))), "site 'drop' .* addition or the like, cat"),
    (lambda: Skipping(nn.Conv2d(5, 5, 3, groups=5)), "site 'drop' .* addition or the like, cat"),
    (lambda: Skipping(nn.Sequential(nn.ReLU(), nn.Conv2d(5, 2, 1))), "site 'drop' .* the like, cat"),
    (
        partial(Custom, lambda n, h: n.wide(torch.cat([n.drop(h), h], 1)) + n.wide(torch.cat([h, h], 1))),
        "site 'drop' .* 'wide.weight' is used more than once",
    ),
    (net(lambda n, h: n.b(n.drop(h) + 1.0)), "site 'drop' .* addition or the like, add"),
    (net(lambda n, h: h + n.drop(h)), "site 'drop' .* addition or the like, add"),
    (net(lambda n, h: n.b(torch.cat([n.drop(h), h], 0))), "site 'drop' .* addition or the like, cat"),
    (net(lambda n, h: [d := n.drop(h), n.b(d * d)][1]), f"site 'drop' .*: mul {BETWEEN}"),
    (net(lambda n, h: n.b(h / n.drop(h))), f"site 'drop' .*: (true)?div {BETWEEN}"),
    (net(lambda n, h: n.b(n.drop(h).clamp(min=0.0))), f"site 'drop' .*: clamp {BETWEEN}"),
    (net(lambda n, h: n.b(n.drop(h).masked_fill(h > 0, -1.0))), "site 'drop' .* or the like, masked_fill"),
    (net(lambda n, h: [g := h * 1.0, g.mul_(n.drop(h)), n.b(g)][2]), f"site 'drop' .*: (mul|mul_) {BETWEEN}"),
    (net(lambda n, h: [g := h * 1.0, torch.mul(n.drop(h), h, out=g), n.b(g)][2]), f"site 'drop' .*: mul {BETWEEN}"),
    (net(lambda n, h: n.b(torch.where(n.drop(h) > 0, h, 0.0))), f"site 'drop' .*: gt {BETWEEN}"),
    (net(lambda n, h: n.b(n.drop(h).to(torch.int32).double())), f"site 'drop' .*: to {BETWEEN}"),
    (net(lambda n, h: n.b(n.drop(h) ** 2)), f"site 'drop' .*: pow {BETWEEN}"),
    (net(lambda n, h: n.b(F.pad(n.drop(h), (1, 1), value=2.0)[:, 1:-1])), "site 'drop' .*: pad"),
    (net(lambda n, h: [d := n.drop(h), n.b(d) + d][1]), "site 'drop' .* addition or the like, add"),
    (net(lambda n, h: [d := n.drop(h), d @ d.T][1]), f"site 'drop' .*: matmul {BETWEEN}"),
    (net(lambda n, h: [d := n.drop(h), {"a": n.b(d), "b": d}][1]), "site 'drop' .* at the end of the model"),
    (net(lambda n, h: n.b(h)), "site 'drop' .* the forward does not come to it"),
    (net(lambda n, h: n.b(n.b(n.drop(h)))), "site 'drop' .* 'b.weight' is used more than once"),
    (net(lambda n, h: n.b(n.drop(n.b(h)))), "site 'drop' .* 'b.weight' is used more than once"),
    (net(lambda n, h: n.b(n.drop(h)) + n.b.weight.sum()), "site 'drop' .* 'b.weight' is used more than once"),
    (net(lambda n, h: h @ n.drop(n.b(h)).T), "site 'drop' .* at the end of the model"),
    (tied, "site '1' .* '2.weight' is used more than once"),
    (tied_to_what_is_not_called, "site 'drop' .* '(b|decoder).weight' is used more than once"),
    (Language, "site 'drop' .* '(table|out).weight' is used more than once"),
    (
        partial(Custom, lambda n, h: (n.drop(h) * n.gain) @ n.w.detach().T + n.gain @ n.w.T),
        "site 'drop' .* 'gain' is used more than once",
    ),
    (hooked, "site '0' cannot be folded: .*(module '1'|add)"),
    (patched, f"site '0' .*: exp {BETWEEN}"),
    (watched_over, "site '0' cannot be folded: it has hooks"),
    (replaced, "site '0' cannot be folded: it has a forward of its own"),
    (lambda: nn.Sequential(More(0.3, scaling="test"), nn.Linear(12, 2)), "site '0' .* has a forward of its own"),
    (
        lambda: nn.Sequential(dk.nn.Dropout(torch.full((12,), 0.5), scaling="test"), nn.Linear(12, 1)),
        "site '0' .* rate is a tensor of several values",
    ),
]  # fmt: skip


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_cannot_be_folded_is_refused_by_name(make, text, watch, x):
    model = make().double()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(PlanError, match=text):
        dk.infer.fold(model, **({"example_inputs": (x,)} if watch else {}))
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    "make",
    [
        plain,
        lambda: nn.Sequential(nn.Dropout(0.5), dk.nn.Dropout(0.5), nn.Linear(12, 1)),
        lambda: nn.Sequential(drop(), plain())[1],
    ],
)
def test_nothing_to_fold(make):
    with pytest.raises(NoMatchError, match="no site of the model has scaling='test'"):
        dk.infer.fold(make())


def test_a_forward_that_looks_at_values_needs_an_example(x):
    model = Net(lambda n, h: n.b(n.drop(h)) if h.sum() > -1e9 else h).double().eval()
    with pytest.raises(PlanError, match=r"cannot be told without running it .*; give example_inputs"):
        dk.infer.fold(model)
    folded = dk.infer.fold(model, example_inputs={"x": x})
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-12)
    with pytest.raises(PlanError, match="the model fails on example_inputs: RuntimeError"):
        dk.infer.fold(model, example_inputs=x[:, :3])


def test_pieces_whose_widths_only_an_example_tells(x):
    model = Custom(lambda n, h: n.wide(torch.cat([n.drop(h[:, ::2]), h, h[:, 1::2]], -1))).double().eval()
    with pytest.raises(PlanError, match="the like, cat; example_inputs may help"):
        dk.infer.fold(model)
    folded = dk.infer.fold(model, example_inputs=x)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-12)


ASSERTING = """
def forward(n, h):
    assert h.shape[-1] == 12, "twelve"
    assert h.dim() == 2
    return n.b(n.drop(h))
"""


def test_assertions_are_no_obstacle(x):
    names = {}
    exec(ASSERTING, names)  # pytest makes something else of an assert in this file
    model = Net(names["forward"]).double().eval()
    with torch.no_grad():
        torch.testing.assert_close(dk.infer.fold(model)(x), model(x), rtol=1e-9, atol=1e-12)


def test_packed_sequences_need_an_example(x):
    model = Custom(packed).double().eval()
    folded = dk.infer.fold(model, example_inputs=x)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-12)
    assert not torch.equal(folded.rnn.weight_ih_l0, model.rnn.weight_ih_l0)


def test_sites_inside_a_transformer_layer(x):
    layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.1, batch_first=True)
    model = scaled(
        nn.Sequential(nn.Unflatten(0, (2, 3)), nn.TransformerEncoder(layer, 2)),
        "1.layers.*.linear2",
        on="input",
    )
    model = model.double().eval()
    folded = dk.infer.fold(model, example_inputs=x)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("attention", "attention#0:attention' .* it is at 'attention', inside of a step"),
        ("residual", "'1.dropout1:branch' .* goes to an addition"),
    ],
)
def test_sites_inside_attention_and_on_branches_are_refused(at, text, x):
    layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Unflatten(0, (2, 3)), layer).double()
    rule = dk.Rule(at=at, rate=0.3, options={"scaling": "test"})
    dk.plan(model, [rule], example_inputs=x).apply(model)
    with pytest.raises(PlanError, match=text.replace("attention#0", "multi_head_attention_forward#0")):
        dk.infer.fold(model, example_inputs=x)


def test_sites_of_another_kind_stay(x, seed):
    model = plain().double()
    rules = [
        dk.Rule(at="1", rate=0.3, options={"scaling": "test"}),
        dk.Rule(at="3", rate=0.4),
    ]
    dk.plan(model, rules).apply(model)
    folded = dk.infer.fold(model)
    (handle,) = attached(folded)
    assert [site.id for site in handle.sites] == ["3"]
    assert [site.id for site in attached(model)[0].sites] == ["1", "3"]
    assert (dk.predict(folded, x, seed=seed, members=60).variance > 0).any()
    handle.revert()
    assert not attached(folded)


def test_a_rate_that_was_changed_is_the_one_folded(x):
    model = mlp().double().eval()
    dk.set_rate(model, 0.85, at="3")
    with torch.no_grad():
        torch.testing.assert_close(dk.infer.fold(model)(x), model(x), rtol=1e-9, atol=1e-12)
