"""Line charts as SVG: panels side by side, readable on light and dark pages, and without colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from benchmarks.simulate.measures import Curve, Measured

WIDTH, HEIGHT, GAP = 460, 300, 20
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 80, 42
DASHES = ("", "7 4", "2 3", "9 3 2 3")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.grid { stroke: #d0d7de; stroke-width: 1 } .span { fill: #d0d7de; opacity: .45 }
.line { fill: none; stroke-width: 2 }
.l0 { stroke: #c2410c } .l1 { stroke: #0060a8 } .l2 { stroke: #00785a } .l3 { stroke: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .grid { stroke: #3d444d } .span { fill: #3d444d }
.l0 { stroke: #ff9a5c } .l1 { stroke: #6cb6ff } .l2 { stroke: #4ecb9b } .l3 { stroke: #c297ff }
}"""


@dataclass(frozen=True)
class Panel:
    """One chart. ``span`` is shaded: from, to, in seconds. ``most`` cuts the vertical axis off."""

    title: str
    lines: Mapping[str, Curve]
    span: tuple[float, float] | None = None
    most: float = 0.0


def lines(played: Mapping[str, Measured], curve: str) -> dict[str, Curve]:
    """This curve of each variant, by its name."""
    return {variant: measured.curves[curve] for variant, measured in played.items()}


def draw(about: str, panels: Sequence[Panel]) -> str:
    """The panels in one SVG, described by ``about``."""
    width = len(panels) * WIDTH + (len(panels) - 1) * GAP
    parts = [f'<g transform="translate({at * (WIDTH + GAP)} 0)">{_panel(panel)}</g>' for at, panel in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}"'
        f' role="img"><title>{escape(about)}</title><style>{STYLE}\n</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(panel: Panel) -> str:
    points = [point for curve in panel.lines.values() for point in curve]
    right = max(x for x, _ in points)
    steps = ticks(panel.most or max(y for _, y in points))
    across, up = (WIDTH - LEFT - RIGHT) / right, (HEIGHT - TOP - BOTTOM) / steps[-1]

    def x(at: float) -> float:
        return LEFT + at * across

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - min(value, steps[-1]) * up

    parts = [f'<text class="title" x="0" y="16">{escape(panel.title)}</text>']
    if panel.span is not None:
        start, end = panel.span
        parts.append(
            f'<rect class="span" x="{x(start):.1f}" y="{TOP}" width="{x(end) - x(start):.1f}"'
            f' height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for value in steps:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for at in ticks(right):
        if at <= right:
            parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">seconds</text>')
    parts += _legend(list(panel.lines))
    for number, curve in enumerate(panel.lines.values()):
        path = "M" + " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in curve)
        parts.append(f'<path {_look(number)} d="{path}"/>')
    return "\n".join(parts)


def _legend(names: Sequence[str]) -> list[str]:
    """In two rows where one is too short."""
    parts, at, row = [], 0.0, 37
    for number, name in enumerate(names):
        width = 50 + 7 * len(name)
        if at + width > WIDTH:
            at, row = 0.0, row + 20
        parts.append(f'<path {_look(number)} d="M{at:.0f},{row} h26"/>')
        parts.append(f'<text x="{at + 32:.0f}" y="{row + 4}">{escape(name)}</text>')
        at += width
    return parts


def _look(number: int) -> str:
    return f'class="line l{number % len(DASHES)}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to at least ``most``, five or so."""
    if most <= 0:
        return [0.0, 1.0]
    step = 10.0 ** floor(log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 6)
    return [round(number * step, 10) for number in range(ceil(most / step) + 1)]
