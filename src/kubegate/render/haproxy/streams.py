"""Which requests are streams: upgrades, watches, followed logs, and whatever runs below a `/proxy` subresource.

A boolean parameter is true unless its first value is `0` or `false` in any case (apimachinery, `Convert_Slice_string_To_bool`);
`/api/v1/watch/...` and `/apis/GROUP/VERSION/watch/...` are watches by path (apiserver, `RequestInfo`). Where a form cannot be told
exactly (a key written with `%61`, `?watch=false&watch`), the request counts as a stream: that costs it nothing but timeouts.
"""


def conditions() -> list[str]:
    """Conditions, each of which makes a request a stream."""
    return [
        "{ req.fhdr(upgrade) -m found }",
        *(condition for name in ("watch", "follow") for condition in _parameter(name)),
        "{ query -m sub % } { query,url_dec(1) -m sub watch follow } !{ query -m sub watch follow }",
        "{ path -m sub /watch/ } { path -m beg /api/ } { path,field(4,/) -m str watch }",
        "{ path -m sub /watch/ } { path -m beg /apis/ } { path,field(5,/) -m str watch }",
        "{ path -m sub /proxy/ } or { path -m end /proxy }",
    ]


def _parameter(name: str) -> list[str]:
    given = f"{{ query -m sub {name} }}"
    return [
        f"{given} {{ url_param({name}) -m found }} !{{ url_param({name}) -m str -i 0 false }}",
        f"{given} {{ query -m str {name} }}",
        f"{given} {{ query -m beg {name}& }}",
        f"{given} {{ query -m end &{name} }}",
        f"{given} {{ query -m sub &{name}& }}",
    ]
