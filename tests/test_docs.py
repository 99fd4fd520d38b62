"""Docs coverage: every room has a page, every public name a docstring and a mention on it."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import dropkit

ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "docs" / "catalogue.md"
ROOMS = sorted(p.parent.name for p in (ROOT / "src" / "dropkit").glob("*/__init__.py"))


def undocumented(module, page: str) -> list[str]:
    """Return the public names of ``module`` that lack a docstring or are not on its page."""
    wrong = []
    for name in module.__all__:
        value = getattr(module, name)
        if f"`{name}" not in page and f".{name}" not in page:
            wrong.append(f"{module.__name__}.{name} is not on its page")
        if (inspect.isclass(value) or inspect.isroutine(value)) and not inspect.getdoc(value):
            wrong.append(f"{module.__name__}.{name} has no docstring")
    return wrong


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_of_a_room_mentions_every_public_name(room):
    page = ROOT / "docs" / f"{room}.md"
    assert page.exists(), f"room {room} has no page docs/{room}.md"
    catalogue = CATALOGUE.read_text() if room in ("nn", "ops", "objectives") else ""
    assert undocumented(import_module(f"dropkit.{room}"), page.read_text() + catalogue) == []


def test_the_catalogue_page_is_what_the_registry_says():
    from dropkit.cli.catalogue_page import catalogue_page

    assert catalogue_page() == CATALOGUE.read_text(), (
        "run `dropkit catalogue --markdown > docs/catalogue.md` and commit the page"
    )


def test_the_check_can_fail():
    assert undocumented(import_module("dropkit.core"), "") != []


def test_the_front_of_the_package_exports_what_it_says():
    for name in dropkit.__all__:
        assert getattr(dropkit, name) is not None
    assert set(dropkit.__all__) <= set(dir(dropkit))
    with pytest.raises(AttributeError, match="no attribute 'dropuot'"):
        _ = dropkit.dropuot


def test_the_index_links_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, (
            f"docs/README.md does not link {page.name}"
        )
