"""Which requests are streams: upgrades, watches, followed logs, and whatever runs below a `/proxy` subresource.

A boolean parameter is true unless it is `0` or `false` in any case (apimachinery, `Convert_Slice_string_To_bool`);
`/api/v1/watch/...` and `/apis/GROUP/VERSION/watch/...` are watches by path (apiserver, `RequestInfo`). Where a form cannot be
told exactly (`?watch=false&watch`, a namespace named `proxy`), the request counts as a stream: it then has no short timeout
and a connection of its own.
"""

from kubegate.render.haproxy.text import quote

_WORDS = "-m sub watch follow"
# Linear, and looked at only where one of the words is there at all.
_TRUE = f"-m reg {quote('(^|&)(watch|follow)(&|$|=(?!(?i:0|false)(&|$)))')}"


def conditions() -> list[str]:
    """Conditions, each of which makes a request a stream."""
    return [
        "{ req.fhdr(upgrade) -m found }",
        f"{{ query {_WORDS} }} {{ query {_TRUE} }}",
        f"{{ query -m sub % }} {{ query,url_dec(1) {_WORDS} }} {{ query,url_dec(1) {_TRUE} }}",
        "{ path -m sub /watch/ } { path -m beg /api/ } { path,field(4,/) -m str watch }",
        "{ path -m sub /watch/ } { path -m beg /apis/ } { path,field(5,/) -m str watch }",
        "{ path -m sub /proxy/ } or { path -m end /proxy }",
    ]
