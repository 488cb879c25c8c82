"""Flags that win over a kubeconfig: kubectl's global flags, and what each of them clears (client-go's client_config.go)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubegate.cluster.document import Entry
from kubegate.model.problem import Problem

_CLUSTER_FLAGS = {
    "server": "--server",
    "certificate-authority": "--certificate-authority",
    "insecure-skip-tls-verify": "--insecure-skip-tls-verify",
    "tls-server-name": "--tls-server-name",
    "disable-compression": "--disable-compression",
    "proxy-url": "--proxy-url",
}
_USER_FLAGS = {
    "token": "--token",
    "username": "--username",
    "password": "--password",
    "client-certificate": "--client-certificate",
    "client-key": "--client-key",
    "as": "--as",
    "as-groups": "--as-group",
    "as-uid": "--as-uid",
    "as-user-extra": "--as-user-extra",
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """One field a flag; what is empty or false was not given. Relative files start at the working folder.

    `as_user_extra` are texts `KEY=VALUE`. `kuberc` names the file with the rules for plugins (`plugin_policy`).
    """

    server: str = ""
    token: str = field(default="", repr=False)
    user: str = ""
    cluster: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    as_user: str = ""
    as_group: tuple[str, ...] = ()
    as_uid: str = ""
    as_user_extra: tuple[str, ...] = field(default=(), repr=False)
    client_certificate: str | Path | None = None
    client_key: str | Path | None = None
    certificate_authority: str | Path | None = None
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    disable_compression: bool = False
    proxy_url: str = field(default="", repr=False)
    kuberc: str | Path | None = None

    def problems(self) -> list[Problem]:
        """What is wrong with the flags by themselves."""
        hint = "write --as-user-extra KEY=VALUE"
        wrong = any(not separator or not key for key, separator, _ in self._extra())
        return [Problem("--as-user-extra", "flags.extra", "is not KEY=VALUE", hint)] if wrong else []

    def on_cluster(self, entry: Entry) -> Entry:
        """A cluster as the flags change it.

        A CA or `insecure_skip_tls_verify` takes the place of everything that the kubeconfig says about both, and a
        server takes away the name that the other one is verified by.
        """
        given: dict[str, object] = {
            "server": with_scheme(self.server),
            "certificate-authority": str(self.certificate_authority or ""),
            "insecure-skip-tls-verify": self.insecure_skip_tls_verify,
            "tls-server-name": self.tls_server_name,
            "disable-compression": self.disable_compression,
            "proxy-url": self.proxy_url,
        }
        cleared: set[str] = set()
        if self.certificate_authority or self.insecure_skip_tls_verify:
            cleared |= {"certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify"}
        if self.server:
            cleared.add("tls-server-name")
        return _changed(entry, given, cleared, _CLUSTER_FLAGS)

    def on_user(self, entry: Entry) -> Entry:
        """A user as the flags change it. A token takes the place of a token file, a certificate or key that of data."""
        given: dict[str, object] = {
            "token": self.token,
            "username": self.username,
            "password": self.password,
            "client-certificate": str(self.client_certificate or ""),
            "client-key": str(self.client_key or ""),
            "as": self.as_user,
            "as-groups": list(self.as_group),
            "as-uid": self.as_uid,
            "as-user-extra": self._merged_extra(entry.body.get("as-user-extra")),
        }
        cleared: set[str] = set()
        if self.token:
            cleared.add("tokenFile")
        cleared |= {f"{key}-data" for key in ("client-certificate", "client-key") if given[key]}
        return _changed(entry, given, cleared, _USER_FLAGS)

    def _extra(self) -> list[tuple[str, str, str]]:
        return [text.partition("=") for text in self.as_user_extra]

    def _merged_extra(self, declared: object) -> dict[object, object]:
        """Of each key the values of the flags, else those of the kubeconfig."""
        values: dict[object, list[str]] = {}
        for key, _, value in self._extra():
            values.setdefault(key, []).append(value)
        return {**(declared if isinstance(declared, dict) else {}), **values} if values else {}


NO_OVERRIDES = Overrides()


def with_scheme(server: str) -> str:
    """A server as people type it: without a scheme it speaks plain HTTP, as for kubectl."""
    return server if not server or "://" in server else f"http://{server}"


def _changed(entry: Entry, given: Mapping[str, object], cleared: set[str], flags: Mapping[str, str]) -> Entry:
    set_ones = {key: value for key, value in given.items() if value}
    body = {key: value for key, value in entry.body.items() if key not in cleared}
    return replace(entry, body=body | set_ones, flags={**entry.flags, **{key: flags[key] for key in set_ones}})
