"""The part on uncertainty: its curves are where the records say, and without records there is none."""

import re

import numpy as np
import pytest

from dropkit import report, stats
from dropkit.records import load_predictions, prediction_path, write_json
from dropkit.report import charts, pixels, plots, uncertainty
from dropkit.report import study as studies
from tests.records.test_predictions import picture
from tests.report.fake import Fake

SMALL = {"epochs": 3, "seeds": 3}


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    return Fake(**SMALL, predictions=True).write(tmp_path_factory.mktemp("sure"))


def part(folder):
    return uncertainty.uncertainty(studies.load(folder))


def test_the_section_is_there_with_figures_table_and_images(sure, rendered):
    page = rendered(sure)
    assert ("section", {"id": "uncertainty"}) in page.elements
    for words in ("How sure is it?", "Reliability", "Risk and coverage", "Least certain", "Most certain"):
        assert words in page.text
    assert sum(attributes.get("class") == "pixels" for _, attributes in page.elements) >= 16
    assert not [tag for tag, _ in page.elements if tag in ("img", "image")]


def test_a_study_of_old_has_no_such_section(tmp_path, rendered):
    page = rendered(Fake(**SMALL).write(tmp_path))
    assert "How sure is it?" not in page.text


def test_tables_have_a_sentence_instead_of_images(tmp_path):
    found = part(Fake(**SMALL, predictions=True, images=False).write(tmp_path))
    assert "are no images that could be shown here" in found
    assert 'class="gallery"' not in found


def test_the_area_under_the_curve_is_that_of_stats(sure):
    found = part(sure)
    record = load_predictions(sure)["hidden", 0]
    for kind in ("entropy", "mutual information"):
        area = stats.aurc(record.sampled.uncertainty[kind], record.sampled.loss)
        assert f"Monte Carlo by {kind}: AURC {area:.4g}" in found
        assert f"<td>{area:.4g}</td>" in found


def test_regression_has_risk_and_the_reliability_of_its_intervals(tmp_path):
    folder = Fake(**SMALL, task="regression", metric="rmse", predictions=True).write(tmp_path)
    found = part(folder)
    assert "Risk and coverage" in found
    assert ">log-likelihood</th>" in found
    assert "observation noise" in found
    assert "gallery" not in found
    record = load_predictions(folder)["hidden", 0]
    inside = (np.array(record.sampled.level) <= 0.9).mean()
    assert f"hidden Monte Carlo: {100 * inside:.0f} % of the targets in 90 % intervals" in found
    assert "share of the targets inside" in found


def test_regression_of_old_has_risk_alone(tmp_path):
    folder = Fake(**SMALL, task="regression", metric="rmse", predictions=True).write(tmp_path)
    for (plan, seed), record in load_predictions(folder).items():
        bare = {
            name: None if answers is None else answers.model_copy(update={"level": []})
            for name, answers in (("plain", record.plain), ("sampled", record.sampled))
        }
        write_json(prediction_path(folder, plan, seed), record.model_copy(update=bare))
    found = part(folder)
    assert "Risk and coverage" in found
    assert "Reliability" not in found
    assert "diagonal" not in found


def test_a_reason_is_told_and_cannot_become_markup(tmp_path):
    folder = Fake(**SMALL, predictions=True).write(tmp_path)
    record = load_predictions(folder)["hidden", 0]
    write_json(
        prediction_path(folder, "hidden", 0),
        record.model_copy(
            update={"plain": None, "sampled": None, "label": [], "pictures": [], "reason": "<b>no"}
        ),
    )
    found = part(folder)
    assert "has no Monte-Carlo prediction: &lt;b&gt;no" in found
    write_json(
        prediction_path(folder, "none", 0),
        load_predictions(folder)["none", 0].model_copy(update={"plain": None, "label": [], "reason": "lost"}),
    )
    assert part(folder).count("care") == 2
    assert report.render(folder).exists()


def test_a_curve_goes_through_its_points():
    curve = plots.Curve([(0.0, 0.0), (0.5, 2.0), (1.0, 9.0)], 1, sizes=[3, 3, 3])
    drawn = plots.plot(
        [curve],
        charts.Axis(0, 1),
        charts.Axis(0, 4),
        names=("a", "b"),
        write=(str, str),
        alt="what",
    )
    assert 'points="0.0,1000.0 500.0,500.0 1000.0,0.0"' in drawn  # what is too high is cut off
    across, down = (re.findall(rf'{name}="([\d.]+)%?"', drawn) for name in ("cx", "cy"))
    assert float(across[1]) == pytest.approx((float(across[0]) + float(across[2])) / 2, abs=0.01)
    assert float(down[1]) == pytest.approx((float(down[0]) + float(down[2])) / 2, abs=0.1)


def test_an_image_is_drawn_pixel_by_pixel():
    import base64

    content = bytes([0, 0, 255, 128, 0, 255])
    drawn = pixels.image(picture(pixels=base64.b64encode(content).decode()), alt="x")
    assert 'd="M0 0h2v1H0zM1 1h1v1H1z" fill="#000000"' in drawn
    assert 'd="M2 0h1v1H2zM2 1h1v1H2z" fill="#ffffff"' in drawn
    assert 'd="M0 1h1v1H0z" fill="#888888"' in drawn
    red = picture(height=1, width=2, channels=3, pixels=base64.b64encode(bytes([255, 0, 0] * 2)).decode())
    assert '<path d="M0 0h2v1H0z" fill="#ff0000">' in pixels.image(red, alt="x")
