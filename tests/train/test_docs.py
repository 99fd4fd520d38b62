import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs" / "train.md"


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        exec(compile(example, str(PAGE), "exec"), {})
    first, recalls = capsys.readouterr().out.splitlines()
    status, error = first.split()
    assert status == "ok"
    assert float(error) < 0.67  # better than guessing
    assert recalls.count(",") == 2
    assert not (tmp_path / "run.pt").exists()  # five short epochs end before the first save
