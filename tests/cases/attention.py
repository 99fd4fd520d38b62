"""Case 4: torch's attention and transformers."""

from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


class Attention(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.mha = nn.MultiheadAttention(8, 2, dropout=0.15, batch_first=True)
        self.need_weights, self.head = need_weights, nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.mha(x, x, x, need_weights=self.need_weights)[0])


def encoder(**options):
    return nn.TransformerEncoderLayer(8, 2, 12, dropout=0.1, batch_first=True, **options)


def stack():
    return nn.TransformerEncoder(encoder(), 2, enable_nested_tensor=False)


class Decoding(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12, 0.1, batch_first=True), 2)

    def forward(self, x):
        return self.decoder(x, x * 0.5)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Transformer(8, 2, 1, 1, 12, dropout=0.2, batch_first=True)

    def forward(self, x):
        return self.net(x, x + 1.0)


def layer_sites(name, rate, decoder=False):
    attention = ["self_attn", "multihead_attn"] if decoder else ["self_attn"]
    drops = (
        ["dropout1", "dropout2", "dropout3", "dropout"] if decoder else ["dropout1", "dropout", "dropout2"]
    )
    return {f"{name}{at}": Planted("attention", rate) for at in attention} | {
        f"{name}{drop}": Planted("dropout", rate) for drop in drops
    }


CASES = [
    *(
        Case(
            f"multi-head-attention-{'weights' if need else 'fused'}",
            seeded(lambda need=need: Attention(need)),
            (ramp(3, 5, 8),),
            {"mha": Planted("attention", 0.15)},
            (dk.Rule(at="mha"), dk.Rule(at="head", on="input")),
        )
        for need in (True, False)
    ),
    Case(
        "encoder-layer",  # its eval mode is one fused function
        seeded(encoder),
        (ramp(3, 5, 8),),
        layer_sites("", 0.1),
        (dk.Rule(at="linear1"), dk.Rule(at="self_attn", on="input")),
    ),
    Case(
        "encoder-layer-unfused",  # norm_first and an odd activation: no fused function
        seeded(lambda: encoder(norm_first=True, activation=nn.SiLU())),
        (ramp(3, 5, 8),),
        layer_sites("", 0.1),
        (dk.Rule(at="activation"), dk.Rule(at="linear2", on="input")),
    ),
    Case(
        "encoder",
        seeded(stack),
        (ramp(3, 5, 8),),
        layer_sites("layers.0.", 0.1) | layer_sites("layers.1.", 0.1),
        (dk.Rule(at="layers.*.linear1"), dk.Rule(at="layers.*.norm1", on="input")),
    ),
    Case(
        "decoder",
        seeded(Decoding),
        (ramp(3, 5, 8),),
        layer_sites("decoder.layers.0.", 0.1, True) | layer_sites("decoder.layers.1.", 0.1, True),
        (dk.Rule(at="*.linear1"), dk.Rule(at="decoder", on="input")),
    ),
    Case(
        "transformer",
        seeded(Both),
        (ramp(3, 5, 8),),
        layer_sites("net.encoder.layers.0.", 0.2) | layer_sites("net.decoder.layers.0.", 0.2, True),
        (dk.Rule(at="*.linear1"),),
    ),
]
