"""``dropkit study`` and ``dropkit report``: what they print, how they exit, and all that they refuse."""

import json
import os
import subprocess
import sys

import pytest

from dropkit import records
from dropkit.study import config_text, load_config
from tests.study.small import study


@pytest.fixture
def config(tmp_path):
    """Write a configuration and return its path."""

    def write(**changes):
        path = tmp_path / "config.toml"
        path.write_text(config_text(load_config(study(**changes))))
        return path

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study done through the command: its configuration, folder, and what was printed."""
    place = tmp_path_factory.mktemp("finished")
    (place / "config.toml").write_text(config_text(load_config(study())))
    return place / "config.toml", place / "study"


@pytest.fixture
def done(dropkit, finished):
    """The same, with the answer of the command; it is run once a module."""
    answer = dropkit("study", finished[0], "--out", finished[1], "--workers", "2")
    assert answer.code == 0, answer.err
    return *finished, answer


def test_a_study_prints_its_verdict_its_table_and_where_the_report_is(done):
    _, folder, answer = done
    results = records.read_results(folder)
    flat = " ".join(answer.out.split())
    assert f"{100 * abs(results.plans[results.best].difference):.3g} percentage points" in flat or (
        "no difference larger than" in flat and "percentage points" in flat
    )
    assert results.sentence not in flat  # which is in the unit of the records
    for plan in results.plans:
        assert plan in answer.out
    assert answer.out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert (folder / "report.html").exists()


def test_json_is_the_results_file(done, dropkit):
    config, folder, _ = done
    expected = json.loads((folder / "results.json").read_text())
    again = dropkit("study", config, "--out", folder, "--json")
    assert json.loads(again.out) == expected
    assert "4 done before" in again.err or "done" in again.err
    assert json.loads(dropkit("report", folder, "--json").out) == expected


def test_a_report_can_be_made_again(done, dropkit):
    _, folder, answer = done
    (folder / "report.html").unlink()
    assert dropkit("report", folder).out == answer.out
    assert (folder / "report.html").exists()
    table = dropkit("report", folder, "--csv").out.splitlines()
    assert len(table) >= 3
    assert table[0].startswith("plan,")


def test_report_refuses_what_is_no_study(refused, tmp_path, done):
    assert str(tmp_path / "nowhere") in refused("report", tmp_path / "nowhere")
    assert str(tmp_path) in refused("report", tmp_path)
    assert "--csv" in refused("report", done[1], "--csv", "--json")


def test_progress_off_a_terminal_is_a_plain_line_a_run(config, dropkit, tmp_path):
    answer = dropkit("study", config(), "--out", tmp_path / "study", "--workers", "1", "--json")
    head, *lines = answer.err.splitlines()
    assert head.startswith("4 runs, 0 done before; about ")
    assert [line.split(": ")[0] for line in lines] == [
        "[1/4] none--0",
        "[2/4] hidden--0",
        "[3/4] none--1",
        "[4/4] hidden--1",
        "asking none--0 and hidden--0 how sure they are of each test example",
    ]
    assert all(": ok, validation 0." in line for line in lines[:-1])
    assert "\x1b" not in answer.err


def test_the_default_folder_is_named_after_the_study(config, dropkit, tmp_path, monkeypatch):
    path = config()
    monkeypatch.chdir(tmp_path)
    assert dropkit("study", path, "--seeds", "3", "--json").code == 0
    assert records.read_results(tmp_path / "runs" / "small").seeds == [0, 1, 2]


def test_a_dry_run_counts_estimates_and_writes_nothing(config, dropkit, tmp_path, monkeypatch):
    path = config()
    monkeypatch.chdir(tmp_path)
    answer = dropkit("study", path, "--dry-run", "--seeds", "5", "--workers", "2")
    assert answer.code == 0
    assert "10 runs: 2 plans, 5 seeds" in answer.out
    assert "about" in answer.out
    assert "2 at a time" in answer.out
    found = json.loads(dropkit("study", path, "--dry-run", "--seeds", "5", "--json").out)
    assert (found["runs"], found["todo"]) == (10, 10)
    assert found["seconds"] > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


def test_the_built_in_study_is_the_default(dropkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = dropkit("study", "--dry-run")
    assert "30 runs: 3 plans, 10 seeds; data: 800 train, 200 validation, 797 test" in answer.out
    assert not list(tmp_path.iterdir())


def test_a_failed_run_makes_exit_code_1(config, dropkit, tmp_path):
    (tmp_path / "mark").touch()
    model = {"name": "tests.study.factories:fragile", "mark": str(tmp_path / "mark"), "safe": os.getpid()}
    answer = dropkit("study", config(model=model), "--out", tmp_path / "study", "--workers", "2")
    assert answer.code == 1
    assert answer.err.count("the weather is bad") >= 4
    assert "Traceback" not in answer.err
    assert records.read_results(tmp_path / "study").verdict == "incomplete"


def test_a_diverged_run_does_not(config, dropkit, tmp_path):
    path = config(train={"lr": 1e30})
    answer = dropkit("study", path, "--out", tmp_path / "study", "--workers", "2")
    assert answer.code == 0
    assert "diverged" in answer.out
    assert records.read_results(tmp_path / "study").verdict == "incomplete"


HERE = "tests.study.factories"


def odd(**rule):
    return {"plans": {"none": {"rules": []}, "odd": {"rules": [rule]}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"name": "nowhere.csv"}}, ["nowhere.csv"]),
        ({"data": {"name": "digist"}}, ["did you mean 'digits'"]),
        ({"data": {"name": "mnist", "dir": "nowhere"}}, ["nowhere"]),
        ({"data": {"name": f"{HERE}:bad_labels"}}, ["label", "-1"]),
        ({"data": {"name": f"{HERE}:nan_data"}}, ["nan"]),
        ({"data": {"name": f"{HERE}:broken_data"}}, ["the disk is on fire"]),
        ({"train": {"batch": 5000}}, ["batch of 5000"]),
        ({"model": {"name": "mpl"}}, ["did you mean 'mlp'"]),
        ({"model": {"name": f"{HERE}:broken_model"}}, ["no such width"]),
        ({"model": {"name": "no.such.module:make"}}, ["no.such.module"]),
        (odd(at="conv", rate=0.5), ["plans.odd", "conv"]),
        (odd(at="hidden", rate=0.5, variant="dropuot"), ["plans.odd", "did you mean 'dropout'"]),
    ],
)
def test_what_the_preflight_finds_is_one_line_and_leaves_nothing(config, refused, tmp_path, changes, words):
    line = refused("study", config(**changes), "--out", tmp_path / "deep" / "study")
    for word in words:
        assert word.lower() in line.lower()
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate = 0.5", "rate = 1.7", ["plans.hidden.rules[0].rate must be in [0, 1], got 1.7"]),
        ("rate = 0.5", "rat = 0.5", ["did you mean 'rate'"]),
        ("[plans.hidden]", "[plan.hidden]", ["unknown key 'plan'", "did you mean 'plans'"]),
        ('metric = "error"', 'metric = "eror"', ["did you mean 'error'"]),
        ('baseline = "none"', 'baseline = "nune"', ["baseline must name a plan"]),
        ("epochs = 2", "epochs = 0", ["train: epochs must be"]),
        ("schema = 1", "schema = 2", ["schema must be 1, got 2"]),
        ("seeds = [0, 1]", "seeds = [0", ["not valid TOML"]),
    ],
)
def test_a_bad_configuration_is_one_line_and_leaves_nothing(config, refused, tmp_path, old, new, words):
    path = config()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    line = refused("study", path, "--out", tmp_path / "study")
    for word in [*words, str(path)]:
        assert word in line
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


def test_bad_arguments_are_one_line(config, refused, tmp_path):
    assert "nowhere.toml: no such file" in refused("study", tmp_path / "nowhere.toml")
    assert "--seeds" in refused("study", config(), "--seeds", "1")


def test_a_wrong_checksum_is_one_line(config, refused, tmp_path):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte").write_bytes(b"not the digits")
    line = refused(
        "study", config(data={"name": "mnist", "dir": str(tmp_path / "mnist")}), "--out", tmp_path / "out"
    )
    assert "-ubyte" in line
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used_are_one_line_and_stay_as_they_are(config, refused, done, tmp_path):
    path, folder, _ = done
    (tmp_path / "file").write_text("mine")
    assert str(tmp_path / "file") in refused("study", path, "--out", tmp_path / "file" / "study")
    assert str(tmp_path / "file") in refused("study", path, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    assert "thesis.txt" in refused("study", path, "--out", tmp_path / "full")
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    assert "/proc" in refused("study", path, "--out", "/proc/study")
    assert "another config" in refused("study", path, "--out", folder, "--seeds", "3")
    with records.lock(folder):
        assert "in use" in refused("study", path, "--out", folder)


def test_damaged_run_files_are_one_line(refused, done):
    path, folder, _ = done
    one = folder / "runs" / "none--0.json"
    text = one.read_text()
    try:
        for wrong in (
            text[:100],
            "",
            "[]",
            text.replace('"seed": 0', '"seed": 1'),
            text.replace("0.", "NaN", 1),
        ):
            one.write_text(wrong)
            assert "none--0.json" in refused("study", path, "--out", folder)
    finally:
        one.write_text(text)
    for name in ("other--0.json", "notes.txt"):
        (folder / "runs" / name).write_text(text)
        assert name in refused("study", path, "--out", folder)
        (folder / "runs" / name).unlink()


def test_what_models_print_does_not_mix_with_the_result(config, tmp_path):
    command = [sys.executable, "-m", "dropkit.cli", "study", config(model={"name": f"{HERE}:loud"})]
    done = subprocess.run(
        [*command, "--out", tmp_path / "study", "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["name"] == "small"
    assert done.stderr.count("LOUD") >= 4 + 3  # the runs, and the trials of the preflight
