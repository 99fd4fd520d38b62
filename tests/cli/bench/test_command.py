"""``dropkit bench``: what it says, what it refuses, and one real measurement."""

import json
import sys

import pytest

from dropkit.cli.bench import machine, processes
from dropkit.cli.bench.rows import QUICK, ROWS, by_name


@pytest.fixture
def asked(monkeypatch):
    """Answer instead of the measuring processes; return what they were asked."""
    questions = []

    def answer(module, *arguments, threads=1, keep_pages=False):
        questions.append((module.rpartition(".")[2], *arguments, *(["kept"] if keep_pages else [])))
        if module.endswith("memory"):
            return {"dropkit": 16, "F.dropout": 4}
        name, count, _ = arguments
        assert int(count) == threads
        return [
            {
                "section": row.section,
                "row": name,
                "threads": int(count),
                "base": "x * c",
                "microseconds": {"x * c": 10.0, "dropkit": 20.0 * int(count)},
                "ratio": {"dropkit": 2.0 * int(count)},
                "notes": ["the compiler is away"],
            }
            for row in by_name()[name]
        ]

    monkeypatch.setattr(processes, "ask", answer)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(machine, "load", lambda: 0.1)
    return questions


def test_all_rows_are_measured_with_one_thread_and_with_two(dropkit, asked):
    answer = dropkit("bench")
    assert answer.code == 0
    expected = [("worker", name, str(count), "9") for count in (1, 2) for name in by_name()]
    assert asked == [*expected, ("memory",)]
    assert answer.out.count("the compiler is away") == 1
    assert answer.err.splitlines()[0].startswith("6 rows with 1 and 2 threads, 9 turns each: about ")
    assert "warning" not in answer.err
    assert max(map(len, answer.out.splitlines()[2:])) <= 80


def test_quick_measures_less(dropkit, asked):
    assert dropkit("bench", "--quick", "--threads", "1").code == 0
    assert asked == [*(("worker", name, "1", "3") for name in QUICK), ("memory",)]


def test_the_bars_are_judged_with_the_most_threads(dropkit, asked):
    found = json.loads(dropkit("bench", "--json", "--threads", "2,1").out)
    assert [(bar["work"], bar["found"]) for bar in found["bars"][:2]] == [
        ("128x512, forward + backward", 4.0),
        ("128x4096, forward + backward", 4.0),
    ]
    assert {bar["threads"] for bar in found["bars"][:-1]} == {2}
    assert len(found["bars"]) == 1 + sum(row.limit is not None for row in ROWS)
    assert len(found["results"]) == 2 * len(ROWS)
    assert found["kernels"]
    assert found["load_average"] == 0.1
    assert found["repetitions"] == 9


def test_a_busy_machine_is_warned_of(dropkit, asked, monkeypatch):
    monkeypatch.setattr(machine, "load", lambda: 3.0)
    assert "not idle (load average 3.0 on 2 cores)" in dropkit("bench", "--rows", "128x512").err


def test_freed_memory_can_be_kept(dropkit, asked):
    answer = dropkit("bench", "--rows", "128x512", "--threads", "1", "--keep-pages")
    assert asked[0] == ("worker", "128x512", "1", "9", "kept")
    assert "freed memory kept" in answer.out.splitlines()[0]
    assert "freed memory" not in dropkit("bench", "--rows", "128x512").out


def test_markdown(dropkit, asked):
    lines = dropkit("bench", "--rows", "128x512", "--markdown").out.splitlines()
    assert lines[2] == "| forward | threads | x * c, µs | dropkit |"


def test_a_row_that_fails_leaves_the_others_and_ends_with_1(dropkit, asked, monkeypatch):
    answering = processes.ask

    def ask(module, *arguments, **more):
        if "128x512" in arguments:
            raise processes.Failed("MemoryError: no")
        return answering(module, *arguments, **more)

    monkeypatch.setattr(processes, "ask", ask)
    answer = dropkit("bench", "--rows", "128x512,128x4096", "--threads", "1")
    assert answer.code == 1
    assert "dropkit: 128x512 with 1 threads failed: MemoryError: no" in answer.err
    assert "128x4096" in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows", "128x521"], "did you mean '128x512'?"),
        (["--rows", ","], "--rows names no row"),
        (["--threads", "0"], "from 1 to 2"),
        (["--threads", "3"], "from 1 to 2"),
        (["--threads", "two"], "'two'"),
        (["--repetitions", "0"], "--repetitions"),
        (["--json", "--markdown"], "exclude each other"),
        (["--instructions", "--quick"], "--instructions"),
    ],
    ids=" ".join,
)
def test_bad_choices_are_refused_before_anything_is_measured(refused, asked, arguments, words):
    assert words in refused("bench", *arguments)
    assert asked == []


def test_one_row_measured_for_real(dropkit):
    answer = dropkit("bench", "--rows", "128x512", "--threads", "1", "--repetitions", "1", "--json")
    assert answer.code == 0, answer.err
    for result in json.loads(answer.out)["results"]:
        assert result["microseconds"]["x * c"] > 0.0
        assert set(result["ratio"]) >= {"dropkit", "no stream", "F.dropout"}
        assert all(ratio > 0.0 for ratio in result["ratio"].values())
        assert result["notes"] or "compiled" in result["ratio"]


def test_a_process_that_fails_is_told_by_its_last_line(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("print('{}')\nraise ValueError('the reason')\n")
    (tmp_path / "fine.py").write_text(
        "import json, os\nprint('noise')\n"
        "print(json.dumps([os.environ['OMP_NUM_THREADS'], 'MALLOC_TRIM_THRESHOLD_' in os.environ]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(processes.Failed, match="ValueError: the reason"):
        processes.ask("broken")
    assert processes.ask("fine", threads=3) == ["3", False]
    assert processes.ask("fine", keep_pages=True) == ["1", True]


@pytest.mark.parametrize(
    ("load", "words"), [(0.2, None), (1.7, "load average 1.7"), (None, "no load average")]
)
def test_what_counts_as_idle(load, words):
    found = machine.warning(load)
    assert found is None if words is None else words in found
