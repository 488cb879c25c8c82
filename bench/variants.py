"""What parts of kubegate's configuration cost: the one that really ran, with a rule written more often, or a change in it.

A rule that refuses nothing and removes nothing new may be written twenty times more and changes no request, so that its cost is
told from noise that is larger than it.
"""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.kubegate import kubegate
from bench.machine import on_core
from bench.peers import Peer, Start
from bench.processes import running
from bench.upstream import LOOPBACK, Bench, answers
from kubegate.render.haproxy import access_log
from kubegate.system.network import free_port

TIMES = 20
AS_IT_IS = "as it is"
WITHOUT_RETRIES = "without retries"
WITH_LOG = "with the access log"
Edit = Callable[[str], str]
_RULE = re.compile(r"^  (?:http-request|use_backend) .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Configuration:
    """The folder of a generation that ran, kept, and the HAProxy that ran it."""

    folder: Path
    haproxy: Path

    @classmethod
    def taken(cls, bench: Bench, upstream: int) -> "Configuration":
        """Of a kubegate that is started for it."""
        kept = bench.folder / f"kept-{upstream}"
        with kubegate(bench, upstream) as gate:
            shutil.copytree(gate.config, kept, ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)
            return cls(kept, gate.haproxy)

    @property
    def text(self) -> str:
        return (self.folder / "haproxy.cfg").read_text()

    def rules(self) -> list[str]:
        """Each rule that a request passes, as it stands there."""
        return _RULE.findall(self.text)

    def with_edit(self, name: str, edit: Edit) -> Start:
        """A gate with this configuration, changed."""

        @contextlib.contextmanager
        def start(bench: Bench, _: int) -> Iterator[Peer]:
            port = free_port(LOOPBACK)
            text = edit(self.text)
            text = re.sub(r"^  bind \S+", f"  bind {LOOPBACK}:{port}", text, count=1, flags=re.MULTILINE)
            text = re.sub(r"^  stats socket .*\n", "", text, flags=re.MULTILINE)
            file = self.folder / f"{port}.cfg"
            file.write_text(text)
            command: list[str | Path] = [*on_core(bench.cores.gate), self.haproxy, "-db", "-C", self.folder, "-f", file.name]
            with running(command, lambda: answers(port)) as process:
                yield Peer(name, port, process.pid)

        return start


def more_often(rule: str) -> Edit:
    """An edit that writes a rule `TIMES` more."""
    return lambda text: text.replace(rule, rule * (TIMES + 1), 1)


def as_it_is(text: str) -> str:
    return text


def without(pattern: str) -> Edit:
    """An edit that removes the lines in which a pattern is found, of which there must be some."""

    def edit(text: str) -> str:
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not re.search(pattern, line)]
        assert len(kept) < len(lines), pattern
        return "".join(kept)

    return edit


def without_rules(text: str) -> str:
    return _RULE.sub("", text)


def with_access_log(text: str) -> str:
    """The access log, to standard output, which is a file here."""
    lines = "".join(f"  {line}\n" for line in access_log.lines())
    return re.sub(r"^frontend .*\n  bind .*\n", lambda head: head[0] + lines, text, count=1, flags=re.MULTILINE)


def behind_a_hop(text: str) -> str:
    """A listener in front that looks at SNI without opening TLS, as it is needed beside clusters that are passed through."""
    bind = re.search(r"^  bind (\S+) ssl", text, re.MULTILINE)
    assert bind
    inner = "abns@kubegate-bench-hop"
    text = text.replace(bind[0], f"  bind {inner} accept-proxy ssl", 1)
    hop = [
        "frontend hop",
        f"  bind {bind[1]}",
        "  mode tcp",
        "  tcp-request inspect-delay 5s",
        "  tcp-request content accept if { req.ssl_hello_type 1 }",
        "  use_backend hop-none if { req.ssl_sni passed-through.test }",
        "  default_backend hop-opened",
        "",
        "backend hop-none",
        "  mode tcp",
        "",
        "backend hop-opened",
        "  mode tcp",
        f"  server opened {inner} send-proxy-v2",
        "",
        "",
    ]
    return text.replace("frontend ", "\n".join(hop) + "frontend ", 1)


def wholes() -> dict[str, Edit]:
    """Changes to the whole of the configuration, by what they are called in a table."""
    return {
        AS_IT_IS: as_it_is,
        "without any rule": without_rules,
        WITHOUT_RETRIES: without("retry-on|disable-l7-retry"),
        "buffers of 16 KB": without("tune.bufsize"),
        "without retries, buffers of 16 KB": lambda text: without("retry-on|disable-l7-retry")(without("tune.bufsize")(text)),
        WITH_LOG: with_access_log,
        "behind an SNI hop": behind_a_hop,
    }


def label(rule: str) -> str:
    """What a rule is called in a table: the words that it answers with, else itself."""
    said = re.search(r'"message":"kubegate: ([^"]*)"', rule)
    return f"refuses: {said[1]}" if said else f"`{rule.strip()}`"
