"""How to do the study again: command, exact configuration, versions."""

from __future__ import annotations

import shlex

from dropkit.report.html import Html, el
from dropkit.report.parts import scroll, section
from dropkit.report.study import Study


def reproduce(study: Study) -> Html:
    """Return how to do it again: command, exact configuration, versions."""
    wanted = {
        name: study.info.versions[name]
        for name in ("dropkit", "torch", "numpy")
        if name in study.info.versions
    }
    packages = " ".join(shlex.quote(f"{name}=={version}") for name, version in wanted.items())
    lines = [f"pip install {packages}"] if packages else []
    lines += ["dropkit study config.toml --out again"]
    versions = [
        el("tr", el("th", name, scope="row"), el("td", found)) for name, found in study.info.versions.items()
    ]
    return section(
        "Do it again",
        "reproduce",
        el("pre", el("code", "\n".join(lines)), tabindex="0"),
        el("p", "config.toml is the text below, and lies beside this page. Its SHA-256 is ",
           el("code", study.info.config_sha256, class_="hash"), "."),
        el("details", el("summary", "config.toml"), el("pre", el("code", study.config_text), tabindex="0"), open=True),
        scroll("Versions", el("table", el("caption", "Versions when the study began"), el("tbody", versions))),
        lead="The same machine with the same versions gives the same records, byte for byte.",
    )  # fmt: skip
