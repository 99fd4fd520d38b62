"""The rows that are measured, and the bars that dropkit is held to."""

import json

import pytest
import torch

from dropkit.cli.bench import elementwise, memory, worker
from dropkit.cli.bench.elementwise import contestants
from dropkit.cli.bench.rows import BOTH, FORWARD, QUICK, ROWS, Row, by_name
from dropkit.ops import kernels


def test_every_name_has_a_forward_row_and_one_with_backward():
    names = by_name()
    assert set(QUICK) <= set(names)
    for rows in names.values():
        assert [row.section for row in rows] == [FORWARD, BOTH]


def test_the_bars_are_those_that_the_project_set_itself():
    bars = {row.name: (row.limit, row.goal) for row in ROWS if row.limit is not None}
    assert bars == {
        "128x512": (4.0, 2.0),
        "128x4096": (2.5, 1.5),
        "64x256x27x27": (1.5, 1.1),
        "4096x4096": (1.5, 1.1),
        "4096x4096 bf16": (1.7, 1.2),
    }
    assert all(row.section == BOTH for row in ROWS if row.limit is not None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.section}")
def test_a_row_measures_the_tensor_that_its_name_says(row, monkeypatch):
    asked = []
    monkeypatch.setattr(elementwise, "contestants", lambda *given, **more: asked.append((given, more)))
    row.enter()
    (((shape, dtype), more),) = asked
    head, _, rest = row.name.partition(" ")
    assert head == "x".join(map(str, shape))
    assert dtype == ("bfloat16" if rest == "bf16" else "float32")
    assert more == {"channels_last": rest == "nhwc", "backward": row.section == BOTH}


def fails(*given):
    raise RuntimeError("no compiler here\nand more")


@pytest.mark.parametrize("backward", [False, True])
def test_all_contestants_do_what_they_are_called(monkeypatch, backward):
    monkeypatch.setattr(torch, "compile", lambda function, **more: function)  # it would take seconds
    calls = []

    def watched(name, function):
        return lambda *given, **more: calls.append(name) or function(*given, **more)

    monkeypatch.setattr(elementwise.F, "dropout", watched("F.dropout", torch.nn.functional.dropout))
    monkeypatch.setattr(elementwise.Dropout, "forward", watched("dropkit", elementwise.Dropout.forward))
    monkeypatch.setattr(torch.autograd, "grad", watched("grad", torch.autograd.grad))
    found, notes = contestants((4, 8), "float32", channels_last=False, backward=backward)
    assert list(found) == ["x * c", "dropkit", "no stream", "F.dropout", "compiled"]
    assert notes == []
    expected = {"x * c": [], "dropkit": ["dropkit"], "no stream": ["dropkit"]}
    for name, loop in found.items():
        calls.clear()
        loop(2)
        once = expected.get(name, ["F.dropout"]) + ["grad"] * backward
        assert calls == once * 2, name


def test_without_a_compiler_the_compiled_one_is_left_out_and_a_note_says_why(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **more: fails)
    found, notes = contestants((4, 8), "float32", channels_last=False, backward=True)
    assert "compiled" not in found
    assert notes == ["no compiled F.dropout: RuntimeError: no compiler here"]


def test_the_worker_prints_a_result_a_section(monkeypatch, capsys):
    row = Row("a", "forward", lambda: ({"base": sum_of(1), "dropkit": sum_of(2)}, ["a note"]), 0.1)
    monkeypatch.setattr("dropkit.cli.bench.rows.ROWS", (row,))
    before = torch.get_num_threads()
    try:
        worker.main(["a", "1", "2"])
    finally:
        torch.set_num_threads(before)
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["row"], result["section"], result["threads"]) == ("a", "forward", 1)
    assert result["notes"] == ["a note"]
    assert set(result["microseconds"]) == {"base", "dropkit"}
    assert set(result["ratio"]) == {"dropkit"}


def sum_of(times):
    return lambda calls: [sum(range(1000 * times)) for _ in range(calls)]


def test_pytorch_keeps_a_mask_and_dropkit_a_key():
    kept = memory.kept_for_backward()
    assert kept["F.dropout"] >= memory.ELEMENTS
    if kernels.active():
        assert kept["dropkit"] == 16
    else:
        assert kept["dropkit"] > memory.ELEMENTS


def test_what_is_kept_is_counted_in_bytes():
    weight = torch.ones(10)
    assert memory.kept_tensors(lambda x: x * weight, 10) == 40
    assert memory.kept_tensors(lambda x: x + weight, 10) == 0
