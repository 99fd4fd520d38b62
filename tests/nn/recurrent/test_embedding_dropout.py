"""Embedding dropout around nn.Embedding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dropkit.core import ModuleError
from dropkit.nn import EmbeddingDropout
from dropkit.ops import embedding_dropout
from dropkit.random import mask, stream

TOKENS = torch.arange(60).view(4, 15) % 20


@pytest.mark.parametrize("rate", [0.1, 0.5, torch.linspace(0, 1, 20).unsqueeze(1)])
def test_it_looks_up_in_the_matrix_that_the_op_makes(rate, seed):
    embedding = nn.Embedding(20, 3)
    layer = EmbeddingDropout(embedding, rate, site="e")
    with stream(seed):
        y = layer(TOKENS)
    with stream(seed):
        expected = F.embedding(TOKENS, embedding_dropout(embedding.weight, rate, training=True, site="e"))
    assert torch.equal(y, expected)
    assert not torch.equal(y, embedding(TOKENS))
    assert torch.equal(layer.eval()(TOKENS), embedding(TOKENS))


def test_a_dropped_word_is_gone_wherever_it_stands_and_for_every_chunk(seed):
    layer = EmbeddingDropout(nn.Embedding.from_pretrained(torch.ones(20, 3)), 0.5, site="e")
    with stream(seed):
        y = layer(TOKENS)
    kept = torch.from_numpy(mask((20, 1), 0.5, seed=seed, site="e"))
    assert torch.equal(y != 0, kept[TOKENS].expand(4, 15, 3))
    with stream(seed, sample=2):
        assert torch.equal(layer(TOKENS[2:]), y[2:])


def test_options_of_the_embedding_work_and_its_weights_are_untouched(seed):
    embedding = nn.Embedding(20, 3, padding_idx=0, sparse=True)
    before = embedding.weight.detach().clone()
    layer = EmbeddingDropout(embedding, 0.5, site="e")
    with stream(seed):
        y = layer(TOKENS)
        y.sum().backward()
    assert embedding.weight.grad.is_sparse
    kept = torch.from_numpy(mask((20, 1), 0.5, seed=seed, site="e"))[:, 0]
    gradient = embedding.weight.grad.to_dense()
    assert torch.equal(gradient[:, 0], torch.where(kept, 6.0, 0.0).index_fill(0, torch.tensor(0), 0.0))
    assert torch.equal(embedding.weight, before)
    assert set(layer.state_dict()) == {"embedding.weight"}


def test_something_else_is_refused():
    with pytest.raises(ModuleError, match=r"needs an nn\.Embedding, got Linear") as caught:
        EmbeddingDropout(nn.Linear(2, 3), 0.5)
    assert isinstance(caught.value, TypeError)
