"""What torch's transformers compute, without the questions about shapes and speed that no symbol can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


def forward_of(module: nn.Module) -> Callable[..., Any] | None:
    """Return a forward that can be traced with symbols and does what that of ``module`` does; None for its own."""
    plain = _PLAIN.get(type(module).forward)
    return None if plain is None else lambda *args, **kwargs: plain(module, *args, **kwargs)


def _whole(
    self: Any,
    src: Any,
    tgt: Any,
    src_mask: Any = None,
    tgt_mask: Any = None,
    memory_mask: Any = None,
    src_key_padding_mask: Any = None,
    tgt_key_padding_mask: Any = None,
    memory_key_padding_mask: Any = None,
    **hints: Any,
) -> Any:
    memory = self.encoder(src, src_mask, src_key_padding_mask)
    return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)


def _encoder(self: Any, src: Any, mask: Any = None, src_key_padding_mask: Any = None, **hints: Any) -> Any:
    for layer in self.layers:
        src = layer(src, mask, src_key_padding_mask)
    return src if self.norm is None else self.norm(src)


def _decoder(self: Any, tgt: Any, memory: Any, *masks: Any, **named: Any) -> Any:
    named = {name: value for name, value in named.items() if not name.endswith("is_causal")}
    for layer in self.layers:
        tgt = layer(tgt, memory, *masks, **named)
    return tgt if self.norm is None else self.norm(tgt)


def _encoder_layer(
    self: Any, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, **hints: Any
) -> Any:
    if self.norm_first:
        src = src + self._sa_block(self.norm1(src), src_mask, src_key_padding_mask)
        return src + self._ff_block(self.norm2(src))
    src = self.norm1(src + self._sa_block(src, src_mask, src_key_padding_mask))
    return self.norm2(src + self._ff_block(src))


_PLAIN: dict[Any, Callable[..., Any]] = {
    nn.Transformer.forward: _whole,
    nn.TransformerEncoder.forward: _encoder,
    nn.TransformerDecoder.forward: _decoder,
    nn.TransformerEncoderLayer.forward: _encoder_layer,
}
