"""Whole studies: the folder, resuming, workers, failures."""

import os
import tomllib

import pytest

import dropkit as dk
from dropkit import records
from dropkit.core import ConfigError, FolderError, InputError, PlanError
from dropkit.study import config_text, load_config, survey
from tests.study.small import study


class Diary:
    """An observer that writes down what it is told."""

    def __init__(self):
        self.entries, self.open = [], set()

    def begin(self, runs, kept, seconds):
        self.entries.append(("begin", runs, kept))
        assert seconds >= 0

    def started(self, run):
        self.open.add(run)

    def epoch(self, run, epoch, epochs, value):
        assert run in self.open
        assert 1 <= epoch <= epochs
        assert 0 <= value <= 1

    def ended(self, run, status, error):
        self.open.remove(run)
        self.entries.append((run, status))

    def standing(self, text):
        self.entries.append(("standing", text))

    def asking(self, runs):
        self.entries.append(("asking", *runs))

    def end(self):
        self.entries.append(("end",))


def runs(folder):
    return {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study with a grid, done by two workers."""
    folder, diary = tmp_path_factory.mktemp("finished") / "deep" / "study", Diary()
    plans = study()["plans"] | {"grid": {"rules": [{"at": "hidden", "rate": [0.2, 0.6]}]}}
    tables = study(plans=plans)
    return tables, folder, dk.run_study(tables, out=folder, workers=2, observer=diary), diary


def test_the_folder_is_as_agreed(finished):
    tables, folder, _, _ = finished
    names = [f"{plan}--{seed}.json" for plan in ("grid@0.2", "grid@0.6", "hidden", "none") for seed in (0, 1)]
    assert sorted(runs(folder)) == names
    assert sorted(path.name for path in (folder / "timing").iterdir()) == names
    weights = [name.replace(".json", ".safetensors") for name in names]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == weights
    text = (folder / "config.toml").read_text()
    assert text == config_text(load_config(tables | {"seeds": [0, 1]}))
    assert config_text(load_config(tomllib.loads(text))) == text
    assert (folder / "report.html").stat().st_size > 0


def test_the_answer_is_in_the_folder_too(finished):
    _, folder, result, _ = finished
    stored = records.read_results(folder)
    assert result.path == folder
    assert result.verdict == stored.verdict in ("helped", "hurt", "no difference")
    assert result.best == stored.best in ("hidden", "grid")
    assert result.plans == stored.plans
    assert set(result.plans) == {"none", "hidden", "grid"}
    assert result.plans["grid"].chosen in ("grid@0.2", "grid@0.6")
    assert result.failed == {}


def test_the_observer_hears_everything(finished):
    entries = finished[3].entries
    assert entries[0] == ("begin", 8, 0)
    best = finished[2].plans[finished[2].best].chosen or finished[2].best
    assert entries[-2:] == [("asking", "none--0", f"{best}--0"), ("end",)]
    assert sum(entry[-1] == "ok" for entry in entries) == 8
    assert (
        "on validation against none: hidden" in [entry[1] for entry in entries if entry[0] == "standing"][-1]
    )


def test_plans_are_paired(finished):
    # Before the first step all plans of a seed are the same model on the same batches: without noise they stay so.
    plans = {
        "none": {"rules": []},
        "nothing": {"rules": [{"at": "hidden", "rate": 0.0}]},
        "hidden": study()["plans"]["hidden"],
    }
    folder = finished[1].parent / "paired"
    result = dk.run_study(study(plans=plans), out=folder, workers=1)
    found = records.load_runs(folder)
    for seed in (0, 1):
        assert found["nothing", seed].epochs == found["none", seed].epochs != found["hidden", seed].epochs
        assert found["nothing", seed].test == found["none", seed].test
    row = result.plans["nothing"]
    assert (row.difference, row.p, row.verdict) == (0.0, 1.0, "no difference")
    assert found["none", 0].epochs != found["none", 1].epochs


def test_one_worker_and_two_leave_the_same_bytes_and_so_does_a_repeated_part(finished):
    tables, folder, _, _ = finished
    other = folder.parent / "other"
    dk.run_study(tables, out=other, workers=1)
    assert runs(other) == runs(folder)
    for name in ("none--1.json", "grid@0.6--0.json"):
        (other / "runs" / name).unlink()
    kept = {path: path.stat().st_mtime_ns for path in (other / "runs").iterdir()}
    diary = Diary()
    dk.run_study(tables, out=other, workers=2, observer=diary)
    assert diary.entries[0] == ("begin", 8, 6)
    assert "asking" not in {entry[0] for entry in diary.entries}  # what they said is there
    assert sorted(entry[0] for entry in diary.entries if entry[-1] == "ok") == ["grid@0.6--0", "none--1"]
    assert runs(other) == runs(folder)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (other / "results.json").read_bytes() == (folder / "results.json").read_bytes()


@pytest.mark.parametrize("how", ["kill", "raise"])
def test_a_run_that_fails_is_recorded_the_study_goes_on_and_it_is_tried_again(tmp_path, how):
    mark = tmp_path / how
    mark.touch()
    model = {"name": "tests.study.factories:fragile", "mark": str(mark), "safe": os.getpid()}
    result = dk.run_study(study(model=model), out=tmp_path / "study", workers=2)
    assert result.verdict == "incomplete"
    assert set(result.failed) == {f"{plan}--{seed}" for plan in ("none", "hidden") for seed in (0, 1)}
    word = "SIGKILL" if how == "kill" else "the weather is bad"
    assert all(word in reason for reason in result.failed.values())
    assert {run.status for run in records.load_runs(result.path).values()} == {"failed"}
    mark.unlink()
    result = dk.run_study(study(model=model), out=tmp_path / "study", workers=2)
    assert result.verdict != "incomplete"
    assert result.failed == {}


def test_diverged_runs_are_kept_and_make_the_verdict_incomplete(tmp_path):
    tables = study(train={"lr": 1e30})
    result = dk.run_study(tables, out=tmp_path / "study", workers=2)
    assert (result.verdict, result.best, result.failed) == ("incomplete", None, {})
    assert result.plans["hidden"].diverged == 2
    diary = Diary()
    dk.run_study(tables, out=tmp_path / "study", observer=diary)
    assert diary.entries[0] == ("begin", 4, 4)


def test_a_split_for_every_seed_is_judged_as_such(tmp_path):
    result = dk.run_study(study(resplit=True), out=tmp_path, workers=2)
    data = dk.zoo.load_data("tests.study.factories:blobs")
    assert result.results.test_train_ratio == len(data.test) / len(data.train)
    assert result.plans["hidden"].p_permutation is None


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_workers_are_counted_in_whole_numbers(tmp_path, workers):
    with pytest.raises(ConfigError, match="workers must be a whole number"):
        dk.run_study(study(), out=tmp_path / "study", workers=workers)
    assert not (tmp_path / "study").exists()


def test_a_survey_counts_and_writes_nothing(finished, tmp_path):
    tables, folder, _, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = survey(tables, out=folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert (done.runs, done.done, done.todo, done.seconds) == (8, 8, 0, 0.0)
    fresh = survey(tables, out=tmp_path / "fresh", workers=2)
    assert (fresh.runs, fresh.todo, fresh.plans, fresh.candidates, fresh.seeds) == (8, 8, 3, 4, 2)
    assert fresh.seconds > 0
    assert "8 runs: 3 plans in 4 candidates, 2 seeds" in fresh.text
    assert not (tmp_path / "fresh").exists()
    with pytest.raises(FolderError, match="another config"):
        survey(study(), out=folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(FolderError, match=r"holds no study \(thesis.txt\)"):
        survey(tables, out=tmp_path / "full")
    with pytest.raises(FolderError, match="a file"):
        survey(tables, out=tmp_path / "full" / "thesis.txt")


def test_nothing_is_written_where_the_preflight_fails(tmp_path):
    bad = study(plans={"none": {"rules": []}, "odd": {"rules": [{"at": "conv", "rate": 0.5}]}})
    with pytest.raises(PlanError, match=r"plans\.odd"):
        dk.run_study(bad, out=tmp_path / "deep" / "study")
    assert not list(tmp_path.iterdir())


def test_another_configuration_is_refused_and_changes_nothing(finished):
    tables, folder, _, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for other in (tables | {"seeds": 3}, tables | {"drop_diverged": True}, study()):
        with pytest.raises(FolderError, match="another config"):
            dk.run_study(other, out=folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_runs_that_are_not_of_the_study_are_refused(tmp_path):
    dk.run_study(study(), out=tmp_path, workers=2)
    one = tmp_path / "runs" / "none--0.json"
    text = one.read_text()
    stray = tmp_path / "runs" / "none--7.json"
    stray.write_text(text.replace('"seed": 0', '"seed": 7'))
    with pytest.raises(FolderError, match=r"none--7\.json is not a run of this study"):
        dk.run_study(study(), out=tmp_path)
    stray.unlink()
    record = records.read_run(one)
    records.write_json(one, record.model_copy(update={"epochs": record.epochs[:1]}))
    with pytest.raises(FolderError, match=r"none--0\.json is a run of another study"):
        dk.run_study(study(), out=tmp_path)
    one.write_text(text[: len(text) // 2])
    with pytest.raises(FolderError, match=r"none--0\.json"):
        dk.run_study(study(), out=tmp_path)
    one.unlink()
    dk.run_study(study(), out=tmp_path)
    assert one.read_text() == text


def test_a_second_study_on_the_folder_is_refused(finished):
    tables, folder, _, _ = finished
    with records.lock(folder), pytest.raises(InputError, match="in use"):
        dk.run_study(tables, out=folder)
