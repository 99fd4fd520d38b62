import base64
import hashlib
import json
import re
from importlib.resources import files
from itertools import pairwise

import pytest

from dropkit import report
from dropkit.core import FolderError
from dropkit.records import (
    read_results,
    read_run,
    read_timing,
    results_path,
    run_path,
    timing_path,
    write_json,
)
from dropkit.report.study import load
from dropkit.report.verdict import sentence
from tests.report.fake import Fake

SMALL = {"epochs": 3, "seeds": 3}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \"' &amp; ]]> <!--"


def ids(page):
    return [attributes["id"] for tag, attributes in page.elements if tag == "section"]


def test_the_verdict_comes_first_then_everything_else(finished, rendered):
    page, study = rendered(finished), load(finished)
    assert (
        page.text.index("✓ helped")
        < page.text.index(sentence(study))
        < page.text.index("Difference from the baseline")
    )
    assert ids(page) == [
        "differences",
        "plans",
        "curves",
        "gap",
        "spread",
        "classes",
        "measures",
        "cost",
        "reproduce",
    ]
    for plan in study.plans:
        row = study.row(plan)
        assert f"{100 * row.mean:.2f} {100 * row.sd:.2f}" in page.text
        assert f"{study.cost(plan):.2f}×" in page.text  # noqa: RUF001
        for recall in study.per_class(plan, "recall"):
            assert f"{100 * recall:.2f} %" in page.text
    assert "digit 9" in page.text
    assert " ".join((finished / "config.toml").read_text().split()) in page.text
    for version in study.info.versions.values():
        assert version in page.text
    assert "dropkit study config.toml --out" in page.text


def test_there_is_one_first_heading_and_no_level_is_skipped(finished, rendered):
    levels = [int(tag[1]) for tag, _ in rendered(finished).elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_every_picture_says_in_words_what_it_shows(finished, rendered):
    pictures = [
        attributes for tag, attributes in rendered(finished).elements if tag == "svg" and "role" in attributes
    ]
    assert len(pictures) >= 12
    assert all(len(attributes["aria-label"]) > 5 for attributes in pictures)


def test_marks_of_the_forest_are_where_the_numbers_say(finished):
    """The zero line is right of all intervals if all plans helped, and the interval's ends frame the mean."""
    text = (finished / "report.html").read_text()
    forest = text[text.index('id="differences"') : text.index('id="plans"')]
    bars = re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="50%" y2="50%" class="bar">', forest)
    dots = re.findall(r'<circle cx="([\d.]+)%" cy="50%" r="6" class="dot">', forest)
    zero = {
        float(x)
        for x in re.findall(r'<line x1="([\d.]+)%" x2="[\d.]+%" y1="0" y2="100%" class="zero">', forest)
    }
    assert len(zero) == 1
    assert len(bars) == len(dots) == 2
    study = load(finished)
    for plan, (low, high), dot in zip(study.others, bars, dots, strict=True):
        row = study.row(plan)
        share = (row.difference - row.low) / (row.high - row.low)
        assert float(dot) == pytest.approx(float(low) + share * (float(high) - float(low)), abs=0.02)
        assert float(high) < zero.copy().pop()
        unit = (zero.copy().pop() - float(dot)) / -row.difference
        assert float(low) == pytest.approx(zero.copy().pop() + unit * row.low, abs=0.1)
    assert forest.count('class="seed"') == 20


def test_nothing_is_asked_of_anybody(finished, rendered):
    page = rendered(finished)
    for tag, attributes in page.elements:
        assert tag not in (
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "video",
            "audio",
            "source",
        )
        assert not {"src", "href", "srcset", "action", "style", "ping", "background"} & set(attributes), (
            tag,
            attributes,
        )
        assert not [name for name in attributes if name.startswith("on")]
    for style in page.styles:
        assert "url(" not in style
        assert "@import" not in style
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    code = [script for script in page.scripts if not script.startswith("{")]
    assert len(code) == 2
    for text in [*code, *page.styles]:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_no_text_of_a_study_becomes_markup(tmp_path, rendered):
    folder = Fake(**SMALL, failed=(("hidden", 1),), grid={"0.1": 0.01, "0.5": 0.0}).write(tmp_path)
    clean = rendered(folder)
    results = read_results(folder)
    results.name = results.sentence = EVIL
    results.warnings = [EVIL]
    results.class_names = [EVIL] * 10
    row = results.plans["hidden"]
    row.sentence, row.warnings = EVIL, [EVIL]
    write_json(results_path(folder), results)
    run = read_run(run_path(folder, "hidden", 1))
    write_json(run_path(folder, "hidden", 1), run.model_copy(update={"error": EVIL}))
    run = read_run(run_path(folder, "none", 1))
    for part in (run.test, *(part for epoch in run.epochs for part in (epoch.train, epoch.val))):
        part[EVIL] = 0.5
    write_json(run_path(folder, "none", 1), run)
    time = read_timing(timing_path(folder, "none", 1))
    write_json(timing_path(folder, "none", 1), time.model_copy(update={"host": EVIL}))
    info = json.loads((folder / "study.json").read_text())
    info["versions"][EVIL] = EVIL
    (folder / "study.json").write_text(json.dumps(info))
    (folder / "config.toml").write_text(f"# {EVIL}\n" + (folder / "config.toml").read_text())
    page = rendered(folder)
    assert page.text.count("<img src=x onerror=alert(1)>") > 15  # it is there, as text
    assert len(page.scripts) == len(clean.scripts) == 3
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in clean.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL in json.loads(next(script for script in page.scripts if script.startswith("{")))["series"]


PLANS = ("none", "hidden", "input-hidden")
ALL = tuple((plan, seed) for plan in PLANS for seed in range(3))
TWO = {"none": 0.02, "hidden": 0.01}
MANY = {"none": 0.02} | {f"p{index}": 0.01 for index in range(12)}


@pytest.mark.parametrize(
    ("fake", "absent", "present"),
    [
        (Fake(**SMALL, task="regression", metric="rmse", levels=TWO), ["classes"], ["curves", "gap"]),
        (Fake(**SMALL, levels=TWO), ["candidates"], ["differences"]),
        (Fake(**SMALL, grid={"0.1": 0.01, "0.5": 0.0}), [], ["candidates"]),
        (Fake(epochs=3, seeds=1), ["differences"], ["plans", "spread", "curves"]),
        (Fake(**SMALL, results=False, missing=(("hidden", 0),)), ["differences"], ["plans", "curves"]),
        (
            Fake(**SMALL, results=False, missing=ALL),
            ["curves", "gap", "spread", "cost"],
            ["plans", "reproduce"],
        ),
        (Fake(**SMALL, diverged=ALL), ["differences", "curves", "classes"], ["plans", "cost"]),
        (Fake(epochs=1, seeds=2, levels=MANY), [], ["plans", "curves"]),
    ],
)
def test_whatever_a_study_is_like_there_is_a_page(tmp_path, rendered, fake, absent, present):
    found = ids(rendered(fake.write(tmp_path)))
    assert set(present) <= set(found)
    assert not set(absent) & set(found)


def test_lost_runs_are_stated_loudly(tmp_path, rendered):
    page = rendered(Fake(**SMALL, diverged=(("hidden", 1),), failed=(("none", 2),)).write(tmp_path))
    assert any(attributes.get("role") == "alert" for _, attributes in page.elements)
    assert "1 run diverged" in page.text
    assert "MemoryError: out of memory" in page.text
    assert page.text.index("1 run failed") < page.text.index("All plans")


def test_a_degenerate_comparison_has_an_open_interval(tmp_path, rendered):
    folder = Fake(**SMALL).write(tmp_path)
    results = read_results(folder)
    row = results.plans["hidden"]
    row.low, row.high, row.sd, row.p_permutation, row.degenerate = None, None, 0.0, None, True
    write_json(results_path(folder), results)
    assert "differences" in ids(rendered(folder))


def test_where_the_sign_flip_test_does_not_apply_its_least_value_is_left_out(tmp_path, rendered):
    folder = Fake(**SMALL).write(tmp_path)
    assert "(≥ 0.25)" in rendered(folder).text
    results = read_results(folder)
    for row in results.plans.values():
        row.p_permutation = None  # as for overlapping splits
    write_json(results_path(folder), results)
    assert "(≥" not in rendered(folder).text


def test_the_page_rests_on_the_records_alone(finished, study):
    before = (finished / "report.html").read_bytes()
    (study / "report.html").unlink()
    assert report.render(study).read_bytes() == before


def test_a_page_that_cannot_be_written_is_an_error_and_leaves_no_crumbs(study):
    (study / "report.html").unlink()
    (study / "report.html").mkdir()
    with pytest.raises(FolderError, match=r"cannot write .*report\.html"):
        report.render(study)
    assert not list(study.glob(".*.tmp"))


def test_the_library_comes_with_its_licence():
    assets = files("dropkit.report") / "assets"
    assert "MIT License" in (assets / "uPlot.LICENSE").read_text()
    assert "v1.6.32" in (assets / "uPlot.iife.min.js").read_text()[:80]
