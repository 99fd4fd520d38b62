from hypothesis import given
from hypothesis import strategies as st

from dropkit.report.html import Html, el, join
from tests.report.conftest import Page


def test_elements_nest_and_attributes_are_written():
    made = el(
        "p",
        "a",
        el("b", "c"),
        None,
        ["d", el("br")],
        class_="x",
        data_plan=3,
        open=True,
        hidden=False,
        id=None,
    )
    assert made == '<p class="x" data-plan="3" open>a<b>c</b>d<br></p>'


@given(st.text(alphabet="<>&\"'/ab=;-!", max_size=30))
def test_no_text_becomes_markup(text):
    page = Page(el("p", text, el("i", title=text)))
    assert [name for name, _ in page.elements] == ["p", "i"]
    assert page.elements[1][1] == {"title": text}
    assert "".join(page.words) == text


def test_only_markup_is_left_alone():
    assert join("<", Html("<"), None, [Html("&"), "&"]) == "&lt;<&&amp;"
