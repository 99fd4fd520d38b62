"""Lightning: a plan with a schedule, and masks that go on after a checkpoint. Needs the extra 'lightning'."""

import tempfile

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.adapters.lightning import DropkitCallback


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 2))

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def fit(folder: str, epochs: int, checkpoint: str | None = None) -> Trainer:
    torch.manual_seed(0)
    x = torch.randn(256, 16)
    data = DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=32)
    model = Classifier()
    plan = dk.plan(model.net, [dk.Rule(at="hidden", rate=dk.nn.LinearSchedule(0.5, 0.1, steps=32))])
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[DropkitCallback(seed=1, plan=plan, module="net")],
        accumulate_grad_batches=2,  # masks and rates go on with the optimiser's steps
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, data, ckpt_path=checkpoint)
    return trainer


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(folder, epochs=2).save_checkpoint(f"{folder}/half.ckpt")
        resumed = fit(folder, epochs=4, checkpoint=f"{folder}/half.ckpt")
        whole = fit(folder, epochs=4)
    pairs = zip(resumed.model.parameters(), whole.model.parameters(), strict=True)
    print("the same weights as without the interruption:", all(torch.equal(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
