"""The figures of a run as a page: what was to be reached, then every workload with every gate."""

from collections.abc import Iterator, Mapping, Sequence

from bench import variants
from bench.figures import Figure, times
from bench.run import Result
from bench.targets import GATE, SEED, verdicts

BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of the figures -->"


def put_into(page: str, figures: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with these figures between two marks of it, in place of older ones."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"


def render(results: Mapping[str, Result], facts: Sequence[str]) -> str:
    """The figures as Markdown; `facts` say on what they were measured."""
    sections = ["\n".join(f"* {fact}" for fact in facts), _targets(results)]
    sections += [_section(result) for name, result in results.items() if name not in ("parts", "rules")]
    if "parts" in results:
        sections.append(_parts(results["parts"]))
    if "rules" in results:
        sections.append(_rules(results["rules"]))
    return "\n\n".join(sections)


def _targets(results: Mapping[str, Result]) -> str:
    rows = [
        (
            verdict.what,
            f"{verdict.most:.2f}{verdict.unit}",
            f"{verdict.found:.2f}{verdict.unit} ± {verdict.spread:.2f}",
            "reached" if verdict.reached else "**missed**",
        )
        for verdict in verdicts(results)
    ]
    return "### Targets\n\n" + table(("kubegate", "at most", "measured", ""), rows)


def _section(result: Result) -> str:
    beside = result.figures.get("direct") or result.figures.get(SEED)
    head = ("", "lower quartile", "median", "±", "more than direct" if "direct" in result.figures else "x HAProxy by hand")
    rows = []
    for name, figure in result.figures.items():
        compared = ""
        if beside is not None and figure is not beside and result.workload.unit != "requests":
            compared = f"{figure.median - beside.median:+.0f}" if "direct" in result.figures else _times(figure, beside)
        rows.append((f"**{name}**" if name == GATE else name, *_numbers(figure), compared))
    return f"### {result.workload.title} ({_unit(result)})\n\n" + table(head, rows)


def _parts(result: Result) -> str:
    seed = result.figures[SEED]
    rows = [(name, *_numbers(figure), _times(figure, seed)) for name, figure in result.figures.items()]
    head = ("kubegate's configuration", "lower quartile", "median", "±", "x HAProxy by hand")
    return f"### {result.workload.title} ({_unit(result)})\n\n" + table(head, rows)


def _rules(result: Result) -> str:
    base = result.figures[variants.AS_IT_IS]
    rows = []
    for name, figure in result.figures.items():
        if figure is not base:
            more = Figure(
                tuple((mine - its) * 1000 / variants.TIMES for mine, its in zip(figure.values, base.values, strict=True))
            )
            rows.append((name, f"{more.median:.0f}", f"{more.spread:.0f}"))
    return "### What each rule costs a small GET (ns of CPU)\n\n" + table(("rule", "median", "±"), rows)


def _times(figure: Figure, other: Figure) -> str:
    found = times(figure, other)
    return f"{found.median:.2f} ± {found.spread:.2f}"


def _numbers(figure: Figure) -> Iterator[str]:
    for value in (figure.quartile, figure.median, figure.spread):
        yield f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _unit(result: Result) -> str:
    kinds = {"KiB": "KiB of memory", "ms": "ms of CPU", "requests": "requests"}
    timed = "direct" in result.figures
    return "µs on the clock" if timed else kinds.get(result.workload.unit, "µs of CPU")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; every column but the first is of numbers."""
    lines = [head, ["---", *(["---:"] * (len(head) - 1))], *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
