import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError, DataError


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_dicts_and_files(tmp_path, rng):
    models = [net().eval() for _ in range(3)]
    torch.save(models[1].state_dict(), tmp_path / "one.pt")
    save_file(models[2].state_dict(), tmp_path / "two.safetensors")
    base = net()
    before = copy.deepcopy(base.state_dict())
    ensemble = dk.infer.snapshots(
        base, [models[0].state_dict(), tmp_path / "one.pt", str(tmp_path / "two.safetensors")]
    )
    x = torch.randn(5, 4, generator=rng)
    with torch.no_grad():
        expected = torch.stack([model(x) for model in models])
    torch.testing.assert_close(ensemble.predict(x, keep_members=True).members, expected)
    assert all(torch.equal(base.state_dict()[key], value) for key, value in before.items())


class Code:
    def __reduce__(self):
        return print, ("code ran",)


def test_what_cannot_be_read(tmp_path, capsys):
    with pytest.raises(DataError, match=r"cannot read weights from .*none.pt: "):
        dk.infer.snapshots(net(), [tmp_path / "none.pt"])
    (tmp_path / "bad.safetensors").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"cannot read weights from .*bad.safetensors"):
        dk.infer.snapshots(net(), [tmp_path / "bad.safetensors"])
    torch.save({"a": Code()}, tmp_path / "code.pt")
    with pytest.raises(DataError, match=r"cannot read weights from .*code.pt"):
        dk.infer.snapshots(net(), [tmp_path / "code.pt"])
    assert "code ran" not in capsys.readouterr().out
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(DataError, match=r"cannot read weights from .*text.pt"):
        dk.infer.snapshots(net(), [tmp_path / "text.pt"])
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(DataError, match=r"list.pt holds a list, not a state_dict; save model.state_dict\(\)"):
        dk.infer.snapshots(net(), [tmp_path / "list.pt"])
    with pytest.raises(ConfigError, match=r"snapshot 1 does not fit the model: .*size mismatch"):
        dk.infer.snapshots(net(), [net().state_dict(), nn.Sequential(nn.Linear(3, 2)).state_dict()])
    with pytest.raises(ConfigError, match="at least one model"):
        dk.infer.snapshots(net(), [])
    with pytest.raises(ConfigError, match="takes a list of states, got a OrderedDict"):
        dk.infer.snapshots(net(), net().state_dict())
    with pytest.raises(ConfigError, match="a snapshot must be a state_dict or the path of one, got a int"):
        dk.infer.snapshots(net(), [3])
