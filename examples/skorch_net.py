"""skorch: a plan in a scikit-learn pipeline, and masks that go on in partial_fit. Needs the extra 'skorch'."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from skorch import NeuralNetClassifier
from torch import nn

import dropkit as dk
from dropkit.adapters.skorch import DropkitCallback


class Network(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def main() -> None:
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x.astype(np.float32), y, random_state=0)

    plan = dk.plan(Network(), dk.surgery.ready("srivastava-2014", input_rate=0.1))
    net = NeuralNetClassifier(
        Network,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        max_epochs=10,
        train_split=None,
        callbacks=[DropkitCallback(seed=1, plan=plan)],
        verbose=0,
    )
    model = make_pipeline(MinMaxScaler(), net).fit(x, y)
    print(f"accuracy on held-out digits: {model.score(x_test, y_test):.3f}")
    net.partial_fit(MinMaxScaler().fit_transform(x), y)  # ten more epochs, with the masks that come next
    print(f"after ten more epochs: {model.score(x_test, y_test):.3f}")


if __name__ == "__main__":
    main()
