import copy
import pickle

import pytest
import torch
from torch import nn

from dropkit.core import ConfigError, ShapeError, UnknownNameError
from dropkit.zoo import MODEL_NAMES, alexnet_plan_rules, build_model


def names(model, kind):
    return [name for name, layer in model.named_modules() if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("mlp", (30,), {}),
        ("mlp", (1, 8, 8), {"widths": [16]}),
        ("mlp", (3,), {"widths": []}),
        ("cnn", (1, 8, 8), {}),
        ("cnn", (1, 28, 28), {"widths": [8, 8, 8, 8], "batch_norm": True}),
        ("cnn", (3, 32, 32), {"hidden": 16}),
        ("cnn", (2, 1, 1), {}),
        ("cnn", (1, 9, 20), {"widths": [4, 4, 4]}),
        ("alexnet", (1, 28, 28), {"width": 0.05}),
        ("alexnet", (3, 32, 48), {"width": 0.05}),
        ("alexnet", (3, 64, 64), {"width": 0.05, "init": "original"}),
        ("alexnet", (3, 127, 127), {"width": 0.05}),
        ("alexnet", (3, 128, 224), {"width": 0.05}),
        ("alexnet", (3, 224, 224), {"width": 0.001}),
    ],
)
def test_each_model_maps_its_input_to_its_outputs_and_trains(name, shape, options):
    model = build_model(name, input_shape=shape, outputs=7, **options)
    y = model(torch.randn(2, *shape))
    assert y.shape == (2, 7)
    y.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.load_state_dict(model.state_dict())


def test_the_global_generator_alone_decides_the_weights():
    for name in MODEL_NAMES:
        states = []
        for seed in (1, 1, 2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                states.append(
                    build_model(name, input_shape=(1, 28, 28), outputs=3, **SMALL[name]).state_dict()
                )
        first, same, other = (torch.cat([v.flatten() for v in state.values()]) for state in states)
        assert torch.equal(first, same)
        assert not torch.equal(first, other)


SMALL = {"alexnet": {"width": 0.05}, "cnn": {"widths": [4]}, "mlp": {"widths": [4]}}


def test_no_model_has_dropout_in_it():
    for name in MODEL_NAMES:
        model = build_model(name, input_shape=(1, 28, 28), outputs=3, **SMALL[name])
        assert not [m for m in model.modules() if "dropout" in type(m).__name__.lower()]


def test_mlp_layers():
    model = build_model("mlp", input_shape=(1, 8, 8), outputs=10, widths=[512, 256])
    assert names(model, nn.ReLU) == ["layers.relu1", "layers.relu2"]
    shapes = {name: tuple(getattr(model.layers, name).weight.shape) for name in ("fc1", "fc2", "out")}
    assert shapes == {"fc1": (512, 64), "fc2": (256, 512), "out": (10, 256)}
    assert list(model.layers._modules)[-1] == "out"  # nothing after the logits


def test_cnn_layers_with_and_without_batch_norm():
    plain = build_model("cnn", input_shape=(1, 28, 28), outputs=10)
    normed = build_model("cnn", input_shape=(1, 28, 28), outputs=10, batch_norm=True)
    assert names(plain, nn.ReLU) == ["features.relu1", "features.relu2", "classifier.relu"]
    assert names(plain, nn.BatchNorm2d) == []
    assert names(normed, nn.BatchNorm2d) == ["features.norm1", "features.norm2"]
    assert plain.features.conv1.bias is not None
    assert normed.features.conv1.bias is None  # the norm has one
    assert list(normed.features._modules)[:4] == ["conv1", "norm1", "relu1", "pool1"]
    assert plain.features(torch.zeros(1, 1, 28, 28)).shape == (1, 64, 7, 7)


def test_alexnet_at_full_size_is_the_published_one():
    with torch.device("meta"):
        model = build_model("alexnet", input_shape=(3, 224, 224), outputs=1000)
        x, sizes = torch.zeros(1, 3, 224, 224), {}
        for name, layer in model.features.named_children():
            x = layer(x)
            sizes[name] = tuple(x.shape[1:])
    assert (sizes["conv1"], sizes["conv2"], sizes["conv3"]) == ((96, 55, 55), (256, 27, 27), (384, 13, 13))
    assert (sizes["conv4"], sizes["conv5"], sizes["pool5"]) == ((384, 13, 13), (256, 13, 13), (256, 6, 6))
    fc = model.classifier
    assert (fc.fc6.in_features, fc.fc6.out_features, fc.fc7.out_features) == (9216, 4096, 4096)
    assert fc.fc8.out_features == 1000
    assert names(model, nn.ReLU) == [f"features.relu{i}" for i in range(1, 6)] + [
        "classifier.relu6",
        "classifier.relu7",
    ]
    # 62.4 million: the published 60 million, and what ungrouped conv2, conv4 and conv5 add
    assert sum(p.numel() for p in model.parameters()) == 62_378_344


@pytest.mark.parametrize("size", range(28, 225))
def test_alexnet_takes_every_size_and_leaves_a_map_of_2_to_7(size):
    with torch.device("meta"):
        model = build_model("alexnet", input_shape=(1, size, size), outputs=2, width=0.01)
        assert 2 <= model.features(torch.zeros(1, 1, size, size)).shape[-1] <= 7
        assert model(torch.zeros(1, 1, size, size)).shape == (1, 2)


def test_alexnet_width_scales_every_layer():
    model = build_model("alexnet", input_shape=(1, 28, 28), outputs=10, width=0.25)
    found = [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert found == [24, 64, 96, 96, 64]
    assert model.classifier.fc6.out_features == model.classifier.fc7.out_features == 1024


def test_alexnet_initial_weights():
    def build(init):
        return build_model("alexnet", input_shape=(1, 28, 28), outputs=10, width=0.25, init=init)

    model = build("original")
    ones = {"features.conv2", "features.conv4", "features.conv5", "classifier.fc6", "classifier.fc7"}
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    for name, layer in layers.items():
        assert layer.bias.unique().tolist() == [1.0 if name in ones else 0.0]
    for layer in (model.classifier.fc6, model.features.conv3):  # n > 50,000: 5 standard errors are < 2 %
        assert abs(float(layer.weight.detach().std()) / 0.01 - 1) < 0.03
    fc6 = build("he").classifier.fc6
    assert abs(float(fc6.weight.detach().std()) / (2 / fc6.in_features) ** 0.5 - 1) < 0.03
    assert not fc6.bias.any()


def test_alexnet_dropout_is_a_plan_for_layers_that_exist():
    (rule,) = alexnet_plan_rules()
    assert (rule["on"], rule["variant"], rule["rate"], rule["options"]) == (
        "input",
        "dropout",
        0.5,
        {"scaling": "test"},
    )
    model = build_model("alexnet", input_shape=(1, 28, 28), outputs=10, width=0.05)
    assert [type(model.get_submodule(name)) for name in rule["at"]] == [nn.Linear, nn.Linear]
    assert names(model, nn.Linear)[:2] == rule["at"]
    assert alexnet_plan_rules("train", rate=0.3)[0]["options"] == {"scaling": "train"}


@pytest.mark.parametrize(
    ("name", "shape", "options", "error", "message"),
    [
        ("mpl", (3,), {}, UnknownNameError, "unknown model 'mpl'; did you mean 'mlp'"),
        ("zzz", (3,), {}, UnknownNameError, "known: alexnet, cnn, mlp, package.module:factory"),
        (
            "mlp",
            (3,),
            {"width": [3]},
            UnknownNameError,
            "option of model mlp: 'width'; did you mean 'widths'",
        ),
        ("cnn", (1, 8, 8), {"batchnorm": True}, UnknownNameError, "did you mean 'batch_norm'"),
        ("mlp", (3,), {"outputs2": 1}, UnknownNameError, "known: widths"),
        ("mlp", (3,), {"widths": 512}, ConfigError, "widths must be a list of positive integers, got 512"),
        ("mlp", (3,), {"widths": [0]}, ConfigError, r"got \[0\]"),
        ("mlp", (3,), {"widths": [1.5]}, ConfigError, r"got \[1.5\]"),
        ("cnn", (1, 8, 8), {"widths": []}, ConfigError, "at least one block"),
        ("cnn", (1, 8, 8), {"hidden": -1}, ConfigError, r"hidden must be .*got \[-1\]"),
        ("cnn", (1, 8, 8), {"batch_norm": "yes"}, ConfigError, "batch_norm must be true or false, got 'yes'"),
        ("cnn", (30,), {}, ShapeError, r"cnn needs images, .* got \(30,\); use model 'mlp'"),
        ("alexnet", (30,), {}, ShapeError, "alexnet needs images"),
        ("alexnet", (1, 8, 8), {}, ShapeError, "images of 28 to 224 on a side, got 8x8; resize .* 'cnn'"),
        ("alexnet", (1, 28, 225), {}, ShapeError, "got 28x225"),
        ("alexnet", (1, 28, 28), {"width": 0}, ConfigError, "width must be a positive number, got 0"),
        ("alexnet", (1, 28, 28), {"width": float("nan")}, ConfigError, "got nan"),
        (
            "alexnet",
            (1, 28, 28),
            {"init": "xavier"},
            ConfigError,
            "init must be 'he' or 'original', got 'xavier'",
        ),
    ],
)
def test_bad_requests_get_one_clear_line(name, shape, options, error, message):
    with pytest.raises(error, match=message):
        build_model(name, input_shape=shape, outputs=2, **options)


def test_a_factory_gets_the_shape_where_it_asks_and_its_options(module):
    name = module(
        "from torch import nn\n"
        "def f(input_shape, outputs, *, extra=0):\n"
        "    return nn.Linear(input_shape[0] + extra, outputs)\n"
        "def fixed(): return nn.Linear(1, 1)\n"
        "def wrong(): return 3\n"
        "def raises(): raise OSError('no weights')\n"
    )
    model = build_model(f"{name}:f", input_shape=(3,), outputs=2, extra=4)
    assert (model.in_features, model.out_features) == (7, 2)
    assert isinstance(build_model(f"{name}:fixed", input_shape=(3,), outputs=2), nn.Linear)
    with pytest.raises(ConfigError, match=rf"'{name}:wrong' must return a torch.nn.Module, got int"):
        build_model(f"{name}:wrong", input_shape=(3,), outputs=2)
    with pytest.raises(ConfigError, match="raised OSError: no weights"):
        build_model(f"{name}:raises", input_shape=(3,), outputs=2)
    with pytest.raises(UnknownNameError, match="'extar'; did you mean 'extra'"):
        build_model(f"{name}:f", input_shape=(3,), outputs=2, extar=1)
