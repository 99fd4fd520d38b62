"""The page: one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path

from dropkit.records import write_bytes
from dropkit.report import closing, comparison, opening, quality, training, uncertainty
from dropkit.report.html import Html, el, join
from dropkit.report.study import Study, load
from dropkit.report.verdict import headline


def render(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` into the study's folder and return its path.

    The page rests on the records alone, so it can be written again at any time, also for a study that is not finished.
    It holds all its styles, scripts and data, and its content security policy forbids any request.

    Raises:
        FolderError: It is no study's folder, one of its files is damaged, or the page cannot be written.
    """
    path = Path(folder) / "report.html"
    write_bytes(path, page(load(folder)).encode("utf-8"))
    return path


def page(study: Study) -> str:
    """Return the page as text."""
    parts = [
        comparison.differences(study),
        comparison.table(study),
        comparison.candidates(study),
        training.learning(study),
        training.gap(study),
        quality.spread(study),
        quality.classes(study),
        quality.measures(study),
        uncertainty.uncertainty(study),
        training.cost(study),
        closing.reproduce(study),
    ]
    scripts = [_asset("uPlot.iife.min.js"), _asset("page.js")]
    styles = [_asset("uPlot.min.css"), _asset("page.css")]
    policy = [
        "default-src 'none'",
        f"script-src {_hashes(scripts)}",
        f"style-src {_hashes(styles)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content="; ".join(policy)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{study.name}: {headline(study)}"),
        [el("style", Html(text)) for text in styles],
    )
    version = study.info.versions.get("dropkit", "")
    foot = el(
        "footer", f"Made by dropkit {version} from the records beside this page. Charts: uPlot, MIT licence."
    )
    body = el(
        "body",
        el("main", opening.verdict(study), parts),
        foot,
        [el("script", Html(text)) for text in scripts],
    )
    return f"<!doctype html>\n{join(el('html', head, body, lang='en'))}\n"


def _asset(name: str) -> str:
    return (files("dropkit.report") / "assets" / name).read_text("utf-8")


def _hashes(texts: list[str]) -> str:
    """Return the sources of a policy that allows exactly ``texts``."""
    digests = (base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
