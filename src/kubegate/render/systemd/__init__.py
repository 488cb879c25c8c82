"""The systemd target: a unit with hardening for `kubegate run` of one declared file, and the user that it runs as.

The unit in `packaging/systemd` is this one, for kubegate in /opt/kubegate. The unit runs the file, so every key is expressed.
"""

import posixpath
from pathlib import PurePosixPath

from kubegate.model.names import printable
from kubegate.model.plan import Plan
from kubegate.model.problem import InvalidInput, Problem
from kubegate.render.keys import Refusals
from kubegate.render.targets import Artefact, Options, Rendered, head

REFUSED: Refusals = {}
SYSUSERS = (
    '# The user that kubegate and HAProxy run as: /usr/lib/sysusers.d/kubegate.conf\nu kubegate - "kubegate" /var/lib/kubegate\n'
)
# What ProtectHome and PrivateTmp hide (systemd.exec, section Sandboxing).
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108
_LOGS = PurePosixPath("/var/log/kubegate")
_OWN_LOGS = """\
# For `accessLog: /var/log/kubegate/access.json`.
LogsDirectory=kubegate
LogsDirectoryMode=0750"""
# One line is longer than those of this language.
# ruff: noqa: E501
_TEMPLATE = """\
[Unit]
Description=kubegate, the gate in front of the Kubernetes API server
Wants=network-online.target
After=network-online.target nss-lookup.target
# A gate is tried again for as long as it takes.
StartLimitIntervalSec=0

[Service]
Type=notify
User=kubegate
Group=kubegate
ExecStart=<PROGRAM> run -c <FILE>
# It says what became of the file; a refused one fails the reload, and what ran goes on.
ExecReload=<PROGRAM> reload -c <FILE>

# HAProxy outlives the control plane, whatever ends that, and is taken over by the next one.
KillMode=process
Restart=always
RestartSec=500ms
# HAProxy that the kernel kills for its memory is brought back by kubegate.
OOMPolicy=continue
# An earlier HAProxy may serve while a start takes long, and giving up would stop it.
TimeoutStartSec=infinity
# Is stretched by kubegate itself where `drain` is longer than usual.
TimeoutStopSec=45s
# A control plane that does not even stop leaves HAProxy behind: then this ends it, so that stopped means stopped.
ExecStopPost=+-/bin/sh -c '[ "$SERVICE_RESULT" != timeout ] || systemctl kill --signal=KILL %n'
WatchdogSec=60s

RuntimeDirectory=kubegate
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
StateDirectory=kubegate
StateDirectoryMode=0700
<LOGS>
UMask=0077
# Two for each connection.
LimitNOFILE=524288

AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
# No MemoryDenyWriteExecute: HAProxy of distributions compiles regular expressions (PCRE2 JIT), and does not start where it cannot.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def render(plan: Plan, options: Options) -> Rendered:
    """`NAME.service` and `NAME.sysusers`. Raises InvalidInput where the unit could not see the file or the program."""
    del plan
    paths = {options.file: printable(options.file), options.program: f"--program {printable(options.program)}"}
    problems = [problem for path, where in paths.items() for problem in (*_no_word(path, where), *hidden(path, where))]
    if options.access_log:
        problems += _no_word(options.access_log, f"accessLog {printable(options.access_log)}")
    if problems:
        raise InvalidInput(problems)
    lines = head("A unit", options, "Verified by systemd-analyze, and run, with systemd 252 (Debian 12).")
    service = f"{options.name}.service"
    users = f"{options.name}.sysusers"
    return Rendered(
        (Artefact(service, ("\n".join(lines) + "\n" + unit(options)).encode()), Artefact(users, SYSUSERS.encode())),
        (),
        (
            f"cp {users} /usr/lib/sysusers.d/kubegate.conf && systemd-sysusers",
            f"cp {service} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now {options.name}",
        ),
    )


def unit(options: Options) -> str:
    """The unit without its head."""
    logs = _OWN_LOGS
    folder = PurePosixPath(options.access_log).parent
    if options.access_log and not folder.is_relative_to(_LOGS):
        comment = f"# For `accessLog: {options.access_log}`; the folder has to be there, writable by the user kubegate."
        logs = f"{comment}\nReadWritePaths={_word(str(folder), command=False)}"
    return _TEMPLATE.replace("<PROGRAM>", _word(options.program)).replace("<FILE>", _word(options.file)).replace("<LOGS>", logs)


def _no_word(path: str, where: str) -> list[Problem]:
    """The problem that a path would be something else in a unit: more lines, or a prefix of a command (systemd.service)."""
    if path.startswith("/") and path.isprintable():
        return []
    message = "a unit can only have whole paths, of characters that can be seen"
    return [Problem(where, "target.path", message, "write another path, as in /opt/kubegate/bin/kubegate")]


def hidden(path: str, where: str) -> list[Problem]:
    """The problem that the unit would not see a path; none if it does."""
    plain = PurePosixPath(posixpath.normpath(path))
    found = next((folder for folder in _HIDDEN if plain.is_relative_to(folder)), None)
    if found is None:
        return []
    message = f"a unit with ProtectHome and PrivateTmp does not see {found}"
    return [Problem(where, "target.hidden", message, "put it elsewhere, as in /etc/kubegate or /opt/kubegate")]


def _word(text: str, *, command: bool = True) -> str:
    """A path as one word of a unit (systemd.syntax, Quoting; systemd.unit, Specifiers); variables are in commands alone."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("$", "$$") if command else escaped
    return f'"{escaped}"' if any(letter in text for letter in " \t'\"\\;") else escaped
