"""Models whose code looks at random values do not run as rows of one large batch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk

X = torch.linspace(-1, 1, 24).view(4, 6)


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.out = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.after(self.drop(self.fc(x))))


class Branching(Base):
    def after(self, x):
        return x * 2 if x.sum() > 0 else x


class Scaling(Base):
    def after(self, x):
        return x / x.abs().max().item()


class Listing(Base):
    def after(self, x):
        return x / max(x.abs().amax(1).tolist())


class Host(Base):
    def after(self, x):
        return x / float(x.numpy().std())


class Ours(Base):
    def __init__(self):
        super().__init__()
        self.drop = dk.nn.Dropout(0.5)

    def after(self, x):
        return x * 2 if (x + torch.cat([x, x])[:4]).mean() > 0 else x


class Function(Base):
    def forward(self, x):
        x = self.fc(x)
        y = dk.ops.dropout(x, 0.5, training=self.training)
        return self.out(y * 2 if bool(y.mean() > 0) else y)


class Scaled(Base):
    """One large batch has one largest value, which the member that it is of has by itself, too."""

    def __init__(self):
        super().__init__()
        self.drop = dk.nn.GaussianDropout(0.5)

    def after(self, x):
        return x / x.abs().max()


class Careful(Base):
    """Looks at what no mask decides."""

    def forward(self, x):
        scale = x.max().item() if bool((x > 0).any()) else 1.0
        return super().forward(x * scale)

    def after(self, x):
        return F.relu(x)


@pytest.mark.parametrize("kind", [Branching, Scaling, Listing, Host, Ours, Function])
def test_it_is_refused_and_not_chosen(kind, rng):
    model = kind().eval()
    options = {"seed": 3, "members": 40, "keep_members": True}
    with pytest.raises(dk.ConfigError, match="its code reads values that dropout has changed"):
        dk.predict(model, X, mode="expand", **options)
    loop = dk.predict(model, X, mode="loop", **options)
    torch.testing.assert_close(dk.predict(model, X, **options).members, loop.members)


def test_a_value_that_one_member_decides_is_noticed(rng):
    for seed in range(20):
        model = Scaled().eval()
        with pytest.raises(dk.ConfigError, match="samples of one batch influence each other"):
            dk.predict(model, X, mode="expand", seed=seed, members=8)


def test_looking_at_what_is_not_random_is_fine(rng):
    options = {"seed": 3, "members": 40, "keep_members": True}
    model = Careful().eval()
    loop, expand = (dk.predict(model, X, mode=mode, **options).members for mode in ("loop", "expand"))
    torch.testing.assert_close(expand, loop)
