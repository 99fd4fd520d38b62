"""A plan on BERT = the same dropout written into it, bit for bit under one stream."""

import copy

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForSequenceClassification
from transformers.models.bert.modeling_bert import BertIntermediate, BertSelfOutput

import dropkit as dk
from dropkit.ops import dropout


class HandIntermediate(BertIntermediate):
    def forward(self, x):
        return dropout(super().forward(x), 0.5, training=self.training, site=self.site)


class HandSelfOutput(BertSelfOutput):
    def forward(self, x, residual):
        x = self.dense(dropout(x, 0.2, training=self.training, site=f"{self.site}:input"))
        return self.LayerNorm(self.dropout(x) + residual)


def small():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(BertConfig(vocab_size=40, **sizes, **none))


def train(model, ids, y, *, seed):
    """Three steps of SGD; returns every loss and parameter, and the output in eval mode."""
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9)
    losses = []
    with dk.random.stream(seed) as stream:
        for _ in range(3):
            loss = F.cross_entropy(model(input_ids=ids).logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            stream.advance()
            losses.append(loss.detach())
    return [*losses, *(p.detach() for p in model.parameters()), model.eval()(input_ids=ids).logits]


def test_a_plan_equals_dropout_written_by_hand(rng, seed):
    model = small()
    plain, hand = copy.deepcopy(model), copy.deepcopy(model)
    for name, module in hand.named_modules():
        for kind, own in ((BertIntermediate, HandIntermediate), (BertSelfOutput, HandSelfOutput)):
            if type(module) is kind:
                module.__class__, module.site = own, name
    ids, y = torch.randint(40, (6, 9), generator=rng), torch.randint(2, (6,), generator=rng)
    rules = [
        dk.Rule(at="BertIntermediate", rate=0.5),
        dk.Rule(at="BertSelfOutput", on="input", rate=0.2),
    ]
    dk.plan(model, rules).apply(model)
    found, expected = train(model, ids, y, seed=seed), train(hand, ids, y, seed=seed)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], train(plain, ids, y, seed=seed)[0])
