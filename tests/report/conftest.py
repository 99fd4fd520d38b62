import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dropkit import report
from tests.report.fake import Fake


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and the text that is neither script nor style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            self.words.append(data)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished study of 3 plans, 10 seeds and 100 epochs, with its page. Not to be changed."""
    folder = Fake().write(tmp_path_factory.mktemp("finished"))
    report.render(folder)
    return folder


@pytest.fixture
def study(finished, tmp_path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "study"))


@pytest.fixture
def rendered():
    """Render a folder and take the page apart."""

    def take_apart(folder: Path) -> Page:
        return Page(report.render(folder).read_text("utf-8"))

    return take_apart
