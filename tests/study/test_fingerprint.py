"""By what a study recognises data, model and code, and the refusal to go on with others."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

import dropkit as dk
from dropkit.core import FolderError
from dropkit.study import fingerprint as room
from dropkit.study import load_config, survey
from dropkit.study.fingerprint import fingerprint
from tests.study import factories
from tests.study.small import study

CONFIG = load_config(study())


class Items(Dataset):
    """Examples made one at a time, each ``noise`` off what it was."""

    def __init__(self, x, y, noise=0.0):
        self.x, self.y, self.noise, self.looks = x, y, noise, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        self.looks += 1
        return self.x[i] + self.noise * self.looks, self.y[i]


def tensors(count=30):
    draw = torch.Generator().manual_seed(count)
    return torch.randn(count, 4, generator=draw), torch.arange(count) % 3


def data(kind=TensorDataset, change=None, **changes):
    """Three parts; ``change`` alters ``(x, y)`` of the last one."""
    parts = [tensors(count) for count in (30, 20, 25)]
    if change is not None:
        change(*parts[2])
    values = {"name": "mine", "task": "classification", "input_shape": (4,), "outputs": 3} | changes
    return dk.zoo.Data(train=kind(*parts[0]), val=kind(*parts[1]), test=kind(*parts[2]), **values)


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


def nudge(x, y):
    x[24, 3] += 2**-20


def relabel(x, y):
    y[0] = 2


@pytest.mark.parametrize("kind", [TensorDataset, Items])
@pytest.mark.parametrize("change", [nudge, relabel])
def test_every_value_of_every_part_counts(kind, change):
    same = [fingerprint(CONFIG, data(kind), net).data for _ in range(2)]
    assert same[0] == same[1]
    assert fingerprint(CONFIG, data(kind, change), net).data != same[0]


@pytest.mark.parametrize("changes", [{"outputs": 4}, {"target_std": 2.0}, {"task": "regression"}], ids=str)
def test_what_a_model_is_told_about_the_data_counts(changes):
    assert fingerprint(CONFIG, data(**changes), net).data != fingerprint(CONFIG, data(), net).data


def test_the_order_and_the_division_of_the_examples_count():
    x, y = tensors(75)
    whole = TensorDataset(x, y)

    def divided(*rows):
        train, val, test = (Subset(whole, list(part)) for part in rows)
        return dk.zoo.Data("mine", "classification", train, val, test, (4,), 3)

    ways = [
        (range(30), range(30, 50), range(50, 75)),
        (range(31), range(31, 50), range(50, 75)),
        (range(30), range(49, 29, -1), range(50, 75)),
    ]
    assert len({fingerprint(CONFIG, divided(*way), net).data for way in ways}) == 3


def test_examples_made_anew_each_time_count_by_their_number_and_their_source():
    def restless(x, y):
        return Items(x, y, noise=0.1)

    found = [fingerprint(CONFIG, data(restless), net) for _ in range(2)]
    assert found[0] == found[1]
    assert set(found[0].sources) == {factories.__name__}
    assert fingerprint(CONFIG, data(lambda x, y: restless(x[:20], y[:20])), net).data != found[0].data


def test_of_many_examples_made_one_at_a_time_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(room, "_LOOKED_AT", 8)
    parts = data(Items)
    fingerprint(CONFIG, parts, net)
    assert parts.train.looks == 2 * 30 + 8  # all of these few twice, to see whether they stay the same


def test_weights_count_with_names_kinds_and_values():
    def scaled():
        model = net()
        with torch.no_grad():
            model[0].bias *= 1.0 + 2**-20
        return model

    def buffered():
        model = net()
        model[1].running_mean += 1.0
        return model

    def renamed():
        return nn.ModuleDict(dict(zip("ab", net(), strict=True)))

    kinds = [net, scaled, buffered, renamed, lambda: net().double()]
    assert fingerprint(CONFIG, data(), net) == fingerprint(CONFIG, data(), net)
    assert len({fingerprint(CONFIG, data(), kind).model for kind in kinds}) == len(kinds)


def test_weights_that_no_seed_decides_count_by_their_kind():
    source = np.random.default_rng()

    def unseeded(width=3):
        model = nn.Linear(4, width)
        with torch.no_grad():
            model.bias += torch.from_numpy(source.random(width)).float()
        return model

    found = {fingerprint(CONFIG, data(), unseeded).model for _ in range(2)}
    assert len(found) == 1
    assert fingerprint(CONFIG, data(), lambda: unseeded(2)).model not in found


def test_weights_without_a_shape_yet_are_no_obstacle():
    assert fingerprint(CONFIG, data(), lambda: nn.LazyLinear(3)).model


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A study of the user's own files, done; and what it can be done again with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "own_model.py").write_text(
        "import numpy as np, torch\nfrom tests.study.factories import Net\n"
        "def make(outputs):\n"
        "    model = Net(outputs)\n"
        "    torch.nn.init.constant_(model.last.bias, float(np.load('bias.npy')))\n"
        "    return model\n"
    )
    np.save("bias.npy", 0.5)
    x, y = tensors(120)
    np.savez("own.npz", x=x.numpy(), y=y.numpy())
    tables = study(data={"name": "own.npz"}, model={"name": "own_model:make"})
    dk.run_study(tables, out="study", workers=1)
    yield tables
    sys.modules.pop("own_model", None)


def change_data(folder):
    x, y = tensors(120)
    np.savez("own.npz", x=x.numpy() * 1.5, y=y.numpy())


def change_source(folder):
    (folder.parent / "own_model.py").write_text(
        (folder.parent / "own_model.py").read_text() + "# otherwise\n"
    )


def change_weights(folder):
    np.save("bias.npy", 0.25)


def change_torch(folder):
    file = folder / "study.json"
    info = json.loads(file.read_text())
    info["versions"]["torch"] = "1.0.0"
    file.write_text(json.dumps(info))


def test_nothing_changed_goes_on_and_the_folder_knows_itself(own, tmp_path):
    info = json.loads((tmp_path / "study" / "study.json").read_text())
    assert set(info["fingerprint"]) == {"data", "model", "sources"}
    assert set(info["fingerprint"]["sources"]) == {"own_model"}
    before = {path.name: path.read_bytes() for path in (tmp_path / "study" / "runs").iterdir()}
    lost = tmp_path / "study" / "runs" / "hidden--1.json"
    lost.unlink()
    dk.run_study(own, out="study", workers=1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "study" / "runs").iterdir()} == before
    assert json.loads((tmp_path / "study" / "study.json").read_text()) == info


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_data, "began with other data (sha256 "),
        (change_source, "began with another source of module own_model"),
        (change_weights, "began with other initial weights (sha256 "),
        (change_torch, f"began with torch 1.0.0 (this is {torch.__version__})"),
    ],
)
def test_a_study_does_not_go_on_with(own, tmp_path, change, words):
    folder = tmp_path / "study"
    change(folder)
    (folder / "runs" / "hidden--1.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for again in (dk.run_study, survey):
        with pytest.raises(FolderError) as caught:
            again(own, out="study")
        text = str(caught.value)
        assert words in text
        assert " and " not in text.partition(", so that")[0].replace(
            "began with ", ""
        )  # nothing else changed
        assert "choose another --out, or restore what changed" in text
        assert "\n" not in text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    dk.run_study(own, out="fresh", workers=1)


def test_several_changes_are_all_named(own, tmp_path):
    for change in (change_data, change_weights, change_torch):
        change(tmp_path / "study")
    with pytest.raises(FolderError, match=r"torch 1\.0\.0 .* and other data .* and other initial weights"):
        dk.run_study(own, out="study")


def test_a_folder_of_an_older_dropkit_goes_on(own, tmp_path):
    file = tmp_path / "study" / "study.json"
    info = json.loads(file.read_text())
    del info["fingerprint"]
    file.write_text(json.dumps(info))
    change_weights(file.parent)
    dk.run_study(own, out="study", workers=1)
    assert json.loads(file.read_text()) == info
