import json
import shutil

import pytest

from dropkit.core import FolderError
from dropkit.records import (
    PlanResult,
    Results,
    StudyInfo,
    Timing,
    load_runs,
    load_timings,
    read_config,
    read_results,
    read_run,
    read_study,
    read_timing,
    results_path,
    run_path,
    timing_path,
    write_json,
)


@pytest.fixture
def path(tmp_path, run):
    path = run_path(tmp_path, "hidden", 3)
    write_json(path, run())
    return path


def test_what_was_written_is_read(path, run, tmp_path):
    assert read_run(path) == run()
    timing = Timing(plan="a", seed=0, seconds=1.0, step_seconds=None, host="h", started="s", finished="f")
    write_json(timing_path(tmp_path, "a", 0), timing)
    assert read_timing(timing_path(tmp_path, "a", 0)) == timing
    assert load_timings(tmp_path) == {("a", 0): timing}
    results = Results(
        baseline="a",
        best="a",
        metric="error",
        verdict="helped",
        plans={"a": PlanResult(mean=0.1, sd=0.2, bca=(0.0, None))},
    )
    write_json(results_path(tmp_path), results)
    assert read_results(tmp_path) == results


def test_runs_come_by_plan_and_seed_sorted(tmp_path, run):
    for plan, seed in [("b", 10), ("b", 9), ("a", 1)]:
        write_json(run_path(tmp_path, plan, seed), run(plan=plan, seed=seed))
    assert list(load_runs(tmp_path)) == [("a", 1), ("b", 9), ("b", 10)]
    assert load_runs(tmp_path)["b", 9].seed == 9
    assert load_runs(tmp_path / "nowhere") == {}


def test_a_file_being_written_is_no_run(path):
    (path.parent / ".hidden--4.json.123.tmp").write_text("{")
    assert len(load_runs(path.parent.parent)) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_a_file_cut_short_is_refused_by_name(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        FolderError, match=r"hidden--3\.json is damaged or cut short \(.*repeats only this run"
    ):
        load_runs(path.parent.parent)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfe\x00", r"damaged \(not text\)"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "damaged or cut short"),
        (b"[]", "is not as dropkit writes it"),
        (b"3", "is not as dropkit writes it"),
    ],
)
def test_a_corrupted_file_is_refused(path, content, text):
    path.write_bytes(content)
    with pytest.raises(FolderError, match=text):
        read_run(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": 2}, r"newer dropkit \(schema 2, this one knows up to 1\); upgrade"),
        ({"schema": 0}, "schema"),
        ({"schema": True}, "no version under schema"),
        ({"schema": None}, "no version under schema"),
        ({"colour": 1}, r"colour: Extra inputs"),
        ({"seed": 4}, "holds plan 'hidden' with seed 4, which is not what its name says"),
        ({"plan": "none"}, "holds plan 'none' with seed 3, which is not what its name says"),
        ({"seed": "3"}, "seed: Input should be a valid integer"),
        ({"test": {}}, 'status "ok" needs test metrics'),
        ({"plan": "a--b"}, "plan: a plan's name must be"),
    ],
)
def test_content_that_cannot_be_believed_is_refused(path, change, text):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FolderError, match=text) as caught:
        read_run(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_foreign_file_among_runs_is_refused(path):
    (path.parent / "notes.txt").touch()
    with pytest.raises(FolderError, match=r"notes\.txt is not a study's file.*move it elsewhere"):
        load_runs(path.parent.parent)


def test_a_folder_in_place_of_a_run_is_refused(path):
    path.unlink()
    path.mkdir()
    with pytest.raises(FolderError, match=r"cannot read .*hidden--3\.json: Is a directory"):
        load_runs(path.parent.parent)


def test_a_file_in_place_of_runs_is_refused(path):
    shutil.rmtree(path.parent)
    path.parent.touch()
    with pytest.raises(FolderError, match=r"cannot read .*runs: Not a directory"):
        load_runs(path.parent.parent)


def test_missing_files_say_what_they_are_for(tmp_path):
    with pytest.raises(FolderError, match=r"hidden--3\.json is missing"):
        read_run(run_path(tmp_path, "hidden", 3))
    with pytest.raises(FolderError, match=r"results\.json is missing; start the study again"):
        read_results(tmp_path)
    with pytest.raises(FolderError, match=r"config\.toml is missing"):
        read_config(tmp_path)
    with pytest.raises(FolderError, match=r"is no study's folder \(no study\.json\)"):
        read_study(tmp_path)
    with pytest.raises(FolderError, match="is no folder"):
        read_study(tmp_path / "nowhere")


def test_the_study_is_read_and_checked(tmp_path):
    info = StudyInfo(config_sha256="0" * 64, versions={"torch": "2"})
    write_json(tmp_path / "study.json", info)
    assert read_study(tmp_path) == info
    (tmp_path / "study.json").write_text('{"schema": 1, "config_sha256": "00", "versions": {}}')
    with pytest.raises(FolderError, match=r"study\.json is not as dropkit writes it \(config_sha256"):
        read_study(tmp_path)
