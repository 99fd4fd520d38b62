"""Ensembles on disk: what is read is what was written, or an error says which file is at fault."""

import json
import pickle

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError, FolderError
from dropkit.surgery import attached


def net():
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    ).double()


def small(seed):
    return nn.Sequential(nn.Linear(4, 8), dk.nn.Masksembles(8, 2, 2.0, seed=seed), nn.Linear(8, 3)).double()


@pytest.fixture
def x(rng):
    return torch.randn(7, 4, generator=rng, dtype=torch.float64)


@pytest.fixture
def saved(tmp_path):
    ensemble = dk.ensemble([net() for _ in range(3)])
    ensemble.save(tmp_path / "ensemble")
    return ensemble, tmp_path / "ensemble"


def test_what_is_read_is_what_was_written(saved, x):
    ensemble, folder = saved
    read = dk.infer.load_ensemble(folder, net)
    expected = ensemble.predict(x, keep_members=True)
    assert torch.equal(read.predict(x, keep_members=True).members, expected.members)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["ensemble.json", *(f"model-{k}.safetensors" for k in range(3))]
    assert not [path for path in folder.parent.iterdir() if path.name != "ensemble"]
    for path in folder.iterdir():
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError)):
            pickle.loads(path.read_bytes())


def test_plans_patterns_and_other_architectures(tmp_path, x, seed):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.drop = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout(0.5)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.drop(self.a(x)))[:, :3]

    model, _masks = (
        net(),
        nn.Sequential(nn.Linear(4, 8), dk.nn.Masksembles(8, 2, 2.0, seed=1), nn.Linear(8, 3)),
    )
    dk.plan(model, [dk.Rule(at="hidden", rate=0.3, options={"scaling": "test"})]).apply(model)
    first, second = (dk.plan(model, [dk.Rule(at="0", rate=rate)]) for rate in (0.2, 0.4))
    ensemble = dk.ensemble([(model, first), (model, second), small(1), Tied().double()])
    ensemble.save(tmp_path / "e")
    factories = [net, net, lambda: small(7), lambda: Tied().double()]
    read = dk.infer.load_ensemble(tmp_path / "e", factories)
    for options in ({}, {"members": 3, "seed": seed}):
        assert torch.equal(read.predict(x, **options).mean, ensemble.predict(x, **options).mean)
    assert read.parts[0][0] is read.parts[1][0]
    assert len(attached(read.parts[0][0])) == 1
    assert (tmp_path / "e" / "model-0.safetensors").exists()
    assert not (tmp_path / "e" / "model-1.safetensors").exists()
    attached_by_factory = dk.infer.load_ensemble(
        tmp_path / "e", [lambda: with_plan(model), net, *factories[2:]]
    )
    assert torch.equal(attached_by_factory.predict(x).mean, ensemble.predict(x).mean)


def planned(variant, seed, on="output"):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    rule = dk.Rule(at="fc" if on == "weight" else "hidden", variant=variant, rate=0.3, on=on)
    dk.plan(model, [rule]).apply(model)
    return model


@pytest.mark.parametrize(("variant", "on"), [("concrete_dropout", "output"), ("mixout", "weight")])
def test_what_sites_have_learned_is_saved(variant, on, tmp_path, x, seed):
    models = [planned(variant, seed + k, on) for k in range(2)]
    with torch.no_grad():
        for parameter in (p for model in models for p in model.parameters()):
            parameter += torch.randn(parameter.shape, dtype=parameter.dtype)
    ensemble = dk.ensemble(models)
    ensemble.save(tmp_path / "e")
    bare = lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))  # noqa: E731
    for factory in (bare, lambda: planned(variant, seed + 9, on)):
        read = dk.infer.load_ensemble(tmp_path / "e", factory)
        for options in ({}, {"members": 3, "seed": seed}):
            expected = ensemble.predict(x, keep_members=True, **options).members
            assert torch.equal(read.predict(x, keep_members=True, **options).members, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_and_rates_are_those_that_were_saved(dtype, tmp_path, x, seed):
    class Own(nn.Module):
        def __init__(self, rate=0.5):
            super().__init__()
            self.body, self.out = nn.LSTM(4, 4, 2, dropout=rate, batch_first=True), nn.Linear(4, 3)
            self.drop, self.kept = nn.Dropout(rate), dk.nn.Dropout(rate)

        def forward(self, x):
            return self.out(self.kept(self.drop(self.body(x[:, None])[0][:, -1])))

    models = [Own(0.25), Own(0.75)]
    ensemble = dk.ensemble([model.to(dtype) for model in models])
    ensemble.save(tmp_path / "e")
    read = dk.infer.load_ensemble(tmp_path / "e", Own)
    given = x.to(dtype)
    assert torch.equal(
        read.predict(given, members=3, seed=seed).mean, ensemble.predict(given, members=3, seed=seed).mean
    )
    model = read.parts[1][0]
    assert (model.drop.p, model.kept.rate, model.body.dropout) == (0.75, 0.75, 0.75)
    assert {p.dtype for p in model.parameters()} == {dtype}
    with pytest.raises(ConfigError, match=r"member 0 .* does not fit the model: module 'drop' drops in one"):
        dk.infer.load_ensemble(tmp_path / "e", without(Own))


def without(make):
    def factory():
        model = make()
        model.drop = nn.Identity()
        return model

    return factory


def test_compiled_models_are_saved_as_they_are_inside(tmp_path, x):
    models = [net() for _ in range(2)]
    dk.ensemble([torch.compile(model, backend="eager") for model in models]).save(tmp_path / "e")
    read = dk.infer.load_ensemble(tmp_path / "e", net)
    assert torch.equal(read.predict(x).mean, dk.ensemble(models).predict(x).mean)


def with_plan(model):
    (handle,) = attached(model)
    made = net()
    handle.plan.apply(made)
    return made


def changed(folder, **changes):
    path = folder / "ensemble.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def member(folder):
    return json.loads((folder / "ensemble.json").read_text())["members"][0]


def swap(folder):
    a, b = folder / "model-0.safetensors", folder / "model-1.safetensors"
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (
            lambda f: (f / "ensemble.json").unlink(),
            FolderError,
            "no folder of an ensemble: cannot read",
        ),
        (lambda f: (f / "ensemble.json").write_text("{"), FolderError, "ensemble.json: .*Invalid JSON"),
        (lambda f: changed(f, schema=2), FolderError, "ensemble.json: schema: Input should be 1, got 2"),
        (lambda f: changed(f, kind="study"), FolderError, "ensemble.json: kind"),
        (lambda f: changed(f, members=[]), FolderError, "ensemble.json: members"),
        (lambda f: changed(f, more=1), FolderError, "ensemble.json: more: Extra inputs"),
        (
            lambda f: changed(
                f,
                members=[
                    {
                        "weights": "../x.safetensors",
                        "sha256": "0" * 64,
                        "attached": [],
                        "rates": {},
                        "plan": None,
                    }
                ],
            ),
            FolderError,
            "members.0.weights: String should match",
        ),
        (
            lambda f: (f / "model-1.safetensors").unlink(),
            FolderError,
            "model-1.*: No such file .* not complete",
        ),
        (
            lambda f: (f / "model-2.safetensors").write_bytes(b"x"),
            FolderError,
            "model-2.safetensors is damaged or",
        ),
        (swap, FolderError, "model-0.safetensors is damaged or another file"),
        (
            lambda f: changed(f, members=[member(f) | {"attached": ["{}"]}]),
            FolderError,
            "ensemble.json: a plan must be a JSON object",
        ),
    ],
)
def test_a_folder_that_is_not_as_it_was(spoil, error, text, saved):
    _, folder = saved
    spoil(folder)
    with pytest.raises(error, match=text):
        dk.infer.load_ensemble(folder, net)


def test_factories_that_do_not_fit(saved):
    _, folder = saved
    with pytest.raises(ConfigError, match=r"member 0 \(model-0.safetensors\) does not fit .* size mismatch"):
        dk.infer.load_ensemble(folder, lambda: nn.Sequential(*net()[:4], nn.Linear(8, 2)))
    with pytest.raises(ConfigError, match=r"member 0 .* Missing key"):
        dk.infer.load_ensemble(folder, lambda: nn.Sequential(net()))
    with pytest.raises(ConfigError, match="has 3 members, got 2 factories"):
        dk.infer.load_ensemble(folder, [net, net])
    with pytest.raises(ConfigError, match=r"the factory must return a torch\.nn\.Module, got int"):
        dk.infer.load_ensemble(folder, lambda: 3)
    for factory in (net(), None, [net, net, net()]):
        with pytest.raises(ConfigError, match="the factory must be a function that returns a new model"):
            dk.infer.load_ensemble(folder, factory)


def test_nothing_is_written_over_and_nothing_half(saved, tmp_path):
    ensemble, folder = saved
    with pytest.raises(FolderError, match="exists and is not an empty folder"):
        ensemble.save(folder)

    class Odd(nn.Linear):
        def get_extra_state(self):
            return object()

    with pytest.raises(ConfigError, match="state '_extra_state' of model 1 is a object, not a tensor"):
        dk.ensemble([net(), Odd(4, 3)]).save(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ensemble"]
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="cannot write an ensemble to"):
        ensemble.save(tmp_path / "file" / "below")
    (tmp_path / "empty").mkdir()
    ensemble.save(tmp_path / "empty")
    assert dk.infer.load_ensemble(tmp_path / "empty", net)
