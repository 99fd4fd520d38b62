"""Hugging Face: dropout that fades out while a small BERT is trained. Needs the extra 'hf'."""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import dropkit as dk
from dropkit.adapters.hugging_face import DropkitCallback


def main() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,  # the plan takes its place
        attention_probs_dropout_prob=0.0,
    )
    model = BertForSequenceClassification(config)
    words = torch.randint(100, (64, 12))
    data = [{"input_ids": row, "labels": (row < 50).sum() > 6} for row in words]
    data = [{**row, "labels": row["labels"].long()} for row in data]

    fading = dk.nn.AnnealedSchedule(0.3, steps=16)
    plan = dk.plan(model, [dk.Rule(at="*.output.dense", rate=fading)])
    print(plan)

    with tempfile.TemporaryDirectory() as folder, DropkitCallback(seed=1, plan=plan) as masks:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        )
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[masks])
        trainer.train()
    print(
        f"{trainer.state.global_step} optimiser steps; the rate ended at {fading.at(trainer.state.global_step - 1):.2f}"
    )


if __name__ == "__main__":
    main()
