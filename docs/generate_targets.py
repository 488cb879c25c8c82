"""`python -m docs.generate_targets` writes the tables of targets-kubernetes.md anew, from what the targets say of each key."""

from collections.abc import Iterator
from pathlib import Path

from kubegate.render.contour import keys as contour_keys
from kubegate.render.expressed import Table
from kubegate.render.gateway_api import keys as gateway_api_keys
from kubegate.render.ingress_nginx import keys as ingress_nginx_keys
from kubegate.render.keys import Refusal
from kubegate.render.kubernetes import keys as kubernetes_keys

PAGE = Path(__file__).with_name("targets-kubernetes.md")
BEGIN = "<!-- From here on this page is written by `python -m docs.generate_targets`. -->\n"
_TABLES = {
    "contour": contour_keys.TABLE,
    "gateway-api": gateway_api_keys.TABLE,
    "ingress-nginx": ingress_nginx_keys.TABLE,
    "kubernetes` and `helm": kubernetes_keys.TABLE,
}


def generated(page: str) -> str:
    """The page with the tables as they are now; what stands before them is written by hand."""
    by_hand, begin, _ = page.partition(BEGIN)
    return by_hand + begin + "".join(f"\n### `{name}`\n\n{_table(table)}" for name, table in _TABLES.items())


def _table(table: Table) -> str:
    return "".join(f"{row}\n" for row in ("| key | what becomes of it |", "| --- | --- |", *_rows(table)))


def _rows(table: Table) -> Iterator[str]:
    for key, entry in table.items():
        if isinstance(entry, Refusal):
            yield f"| `{key}` | **refused**: {entry.why}; {entry.instead} |"
        else:
            yield f"| `{key}` | {entry} |"


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text()))
