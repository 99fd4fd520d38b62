"""Small images as inline SVG: no image file, and no data address that a policy would have to allow."""

from __future__ import annotations

from dropkit.records import Picture
from dropkit.report.html import Html, el

_STEP = 16  # of 256 levels: what neighbours share is drawn as one


def image(picture: Picture, *, alt: str) -> Html:
    """Return ``picture`` as paths of equal colour, to 16 levels of each channel."""
    content, channels = picture.content, picture.channels
    runs: dict[tuple[int, ...], list[str]] = {}
    for row in range(picture.height):
        start, last = 0, None
        for column in range(picture.width + 1):
            at = (row * picture.width + column) * channels
            inside = column < picture.width
            level = tuple(byte // _STEP for byte in content[at : at + channels]) if inside else None
            if level != last:
                if last is not None:
                    runs.setdefault(last, []).append(f"M{start} {row}h{column - start}v1H{start}z")
                start, last = column, level
    paths = [el("path", d="".join(found), fill=_color(level)) for level, found in sorted(runs.items())]
    return el(
        "svg",
        el("title", alt),
        paths,
        viewBox=f"0 0 {picture.width} {picture.height}",
        role="img",
        aria_label=alt,
        shape_rendering="crispEdges",
        class_="pixels",
    )


def _color(level: tuple[int, ...]) -> str:
    parts = [round(value * 255 / (256 // _STEP - 1)) for value in level]
    return "#" + "".join(f"{part:02x}" for part in (parts * 3 if len(parts) == 1 else parts))
