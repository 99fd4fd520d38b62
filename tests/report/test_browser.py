"""The page in a real browser, wide and narrow, light and dark."""

import shutil

import pytest

from dropkit import report
from tests.report.fake import Fake

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt install chromium")

OVERFLOWING = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre, .uplot"))
  .map((e) => e.tagName + "." + e.className)"""


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page and collect everything it says and asks for."""
    contexts = []

    def go(path, width=1280, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.complaints.append(request.url))
        page.on("dialog", lambda dialog: page.complaints.append("dialog"))
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        page.complaints.remove(path.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()


GRID = {"0.1": 0.01, "0.5": 0.0}
FAKES = {
    "usual": Fake(),
    "lost": Fake(epochs=5, diverged=(("hidden", 3),), failed=(("none", 1),), missing=(("none", 2),)),
    "regression": Fake(
        epochs=1, seeds=3, task="regression", metric="rmse", levels={"none": 0.6, "drop": 0.5}
    ),
    "long": Fake(epochs=5, seeds=3, levels={"none": 0.02, "x" * 110: 0.01}, name="n" * 200, grid=GRID),
    "sure": Fake(epochs=5, seeds=3, predictions=True),
    "sure regression": Fake(epochs=1, seeds=3, task="regression", metric="rmse", predictions=True),
    "dead": Fake(epochs=5, seeds=1, levels={"none": 1, "a": 1}, diverged=(("none", 0), ("a", 0))),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return {name: report.render(fake.write(tmp_path_factory.mktemp(name))) for name, fake in FAKES.items()}


@pytest.mark.parametrize("name", FAKES)
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_no_error_no_request_no_overflow(pages, visit, name, width, scheme):
    page = visit(pages[name], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOWING) == []
    assert page.complaints == []


def test_the_checks_can_fail(visit, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<!doctype html><img src="http://127.0.0.1:9/x.png"><div style="width:2000px">x</div><script>throw 1</script>'
    )
    page = visit(bad, 360)
    page.wait_for_timeout(200)
    assert "http://127.0.0.1:9/x.png" in page.complaints
    assert len(page.complaints) >= 2
    assert page.evaluate("document.documentElement.scrollWidth") > 360
    assert page.evaluate(OVERFLOWING) == ["DIV."]


INK = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);  // reading the page's own canvas again and again makes the browser complain
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] == 255) seen.add(data.slice(i, i + 3).join());
  return [...seen];
}"""
LIGHT, DARK = ("95,102,112", "0,114,178", "194,78,0"), ("170,178,189", "86,180,233", "255,148,80")


def has_ink(canvas, wanted, unwanted=frozenset()):
    """Whether the canvas shows these colours and not those, as soon as it has been drawn."""
    for _ in range(100):
        inks = set(canvas.evaluate(INK))
        if wanted <= inks and not unwanted & inks:
            return True
        canvas.page.wait_for_timeout(50)
    return False


def test_curves_are_drawn_in_the_colours_of_their_plans_and_answer_to_the_controls(pages, visit):
    page = visit(pages["usual"])
    canvas = page.locator(".curve canvas")
    assert canvas.count() == 2
    assert has_ink(canvas.nth(0), set(LIGHT))
    assert has_ink(canvas.nth(1), set(LIGHT))
    page.locator("input[data-plan='1']").uncheck()
    assert has_ink(canvas.nth(0), {LIGHT[0], LIGHT[2]}, {LIGHT[1]})
    assert has_ink(canvas.nth(1), {LIGHT[0], LIGHT[2]}, {LIGHT[1]})
    page.emulate_media(color_scheme="dark")
    assert has_ink(canvas.nth(1), {DARK[0], DARK[2]}, {DARK[1], *LIGHT})
    for name in ("loss", "nll", "accuracy"):
        page.get_by_label("metric").select_option(name)
        assert has_ink(canvas.nth(1), {DARK[0], DARK[2]})
    page.get_by_label("log scale").check()
    page.locator(".curve .u-over").nth(0).hover(position={"x": 200, "y": 100})
    readout = page.locator(".readout")
    assert readout.nth(0).inner_text().startswith("epoch")
    assert "none 9" in readout.nth(1).inner_text()  # the other panel follows: an accuracy of 9x %
    assert page.complaints == []


def test_paper_is_white_also_in_the_dark(pages, visit, tmp_path):
    page = visit(pages["usual"], scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert has_ink(page.locator(".curve canvas").nth(1), set(LIGHT), set(DARK))
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


PAPER = 718  # CSS pixels between the default margins of an A4 sheet


@pytest.mark.parametrize("name", ["usual", "lost", "regression", "sure"])
def test_nothing_is_cut_off_on_paper(pages, visit, name):
    page = visit(pages[name], PAPER)
    page.emulate_media(media="print")
    cells = "[...document.querySelectorAll('td, th, pre, p')]"
    right = f"Math.max(...{cells}.map((e) => e.getBoundingClientRect().right))"
    assert page.evaluate(right) <= PAPER + 1


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(pages, visit, scheme):
    page = visit(pages["usual"], scheme=scheme)

    def contrast(ink, paper):
        read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
        dark, light = sorted(luminance(page.evaluate(read, f"--{name}")) for name in (ink, paper))
        return (light + 0.05) / (dark + 0.05)

    for ink in ("ink", "soft", "link", "good", "bad"):
        assert contrast(ink, "paper") >= 4.5, ink
    for ink in ("ink", "soft"):
        assert contrast(ink, "panel") >= 4.5, ink
    for ink in ("good", "bad", "calm", "care"):
        assert contrast(ink, f"{ink}-paper") >= 4.5, ink
        assert contrast("ink", f"{ink}-paper") >= 4.5, ink
    for index in range(8):
        assert contrast(f"c{index}", "paper") >= 3.0, index  # marks, beside text that says the same


def test_without_scripts_all_but_the_curves_is_there(pages, visit):
    page = visit(pages["usual"], java_script_enabled=False)
    assert "drawn by a script, which is switched off" in page.inner_text("noscript")
    assert page.locator("svg").count() >= 12
    assert page.locator("section").count() == 9
