"""The figures as one picture: a panel for each workload, a bar for each gate."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from bench.figures import Figure
from bench.run import Result
from bench.targets import GATE

_WIDTH, _NAMES, _NUMBERS = 760, 190, 90
_BAR, _GAP, _HEAD = 16, 6, 34
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.page { fill: #ffffff }
.bar { fill: #9aa7b4 }
.own { fill: #2563eb }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #0d1117 } .bar { fill: #5b6673 } .own { fill: #60a5fa } .spread { stroke: #e6edf3 }
}
"""


def draw(results: Sequence[Result]) -> str:
    """The picture, as SVG."""
    height = sum(_panel_height(result.figures) for result in results) + _GAP
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", width=str(_WIDTH), role="img")
    SubElement(root, "title").text = "kubegate beside others: what a request costs"
    SubElement(root, "style").text = _STYLE
    SubElement(root, "rect", {"class": "page", "width": "100%", "height": "100%"})
    top = 0
    for result in results:
        _panel(root, result, top)
        top += _panel_height(result.figures)
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _panel_height(figures: Mapping[str, Figure]) -> int:
    return _HEAD + len(figures) * (_BAR + _GAP)


def _panel(root: Element, result: Result, top: int) -> None:
    kind = "memory" if result.workload.unit == "KiB" else "CPU"
    _text(root, 10, top + 24, f"{result.workload.title} ({result.workload.unit} of {kind})", "title")
    scale = (_WIDTH - _NAMES - _NUMBERS) / max(figure.quantile(3) for figure in result.figures.values())
    for number, (name, figure) in enumerate(result.figures.items()):
        y = top + _HEAD + number * (_BAR + _GAP)
        _text(root, 10, y + 13, name)
        bar = {"x": _NAMES, "y": y, "width": round(figure.median * scale, 1), "height": _BAR}
        SubElement(
            root, "rect", {"class": "bar own" if name == GATE else "bar", **{key: str(value) for key, value in bar.items()}}
        )
        ends = {"x1": _NAMES + figure.quantile(1) * scale, "x2": _NAMES + figure.quantile(3) * scale}
        line = {key: f"{value:.1f}" for key, value in ends.items()} | {"y1": str(y + _BAR // 2), "y2": str(y + _BAR // 2)}
        SubElement(root, "line", {"class": "spread", **line})
        _text(root, round(_NAMES + figure.quantile(3) * scale + 8), y + 13, f"{figure.median:.1f}")


def _text(root: Element, x: int, y: int, words: str, kind: str | None = None) -> None:
    SubElement(root, "text", {"x": str(x), "y": str(y), **({"class": kind} if kind else {})}).text = words
