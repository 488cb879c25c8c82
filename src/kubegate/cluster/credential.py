"""Credentials as a kubeconfig declares them: nothing is read or run yet. `login.py` is what becomes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubegate.cluster.files import read_file
from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or key: its bytes as they stand in the kubeconfig, or a file. `where` is the field that gives it."""

    where: str
    data: bytes | None = field(default=None, repr=False)
    path: Path | None = None

    def read(self) -> bytes:
        """The bytes. Raises InvalidInput if the file cannot be read."""
        if self.data is not None or self.path is None:
            return self.data or b""
        return read_file(self.path, self.where, "credential.unreadable")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """An exec credential plugin. Arguments and environment may hold secrets. `where` is its place in the kubeconfig.

    A `command` with a slash is an absolute path, else it is looked up in PATH. `interactive_mode` is Never, IfAvailable
    or Always.
    """

    where: str
    command: str
    arguments: tuple[str, ...] = field(default=(), repr=False)
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = "client.authentication.k8s.io/v1"
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """As whom requests are made. `extra` maps keys to their values, in the order of the kubeconfig."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """Everything that a kubeconfig's user declares; empty fields are not set. `where` is the user's place in it.

    `token_where` is the token's own place. `provider_settings` is the `config` of the auth provider `auth_provider`,
    and `file` the kubeconfig that it all stands in.
    """

    where: str = ""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    certificate: Pem | None = None
    key: Pem | None = None
    exec_plugin: ExecPlugin | None = None
    auth_provider: str = ""
    provider_settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    token_where: str = ""
    file: Path | None = None
    impersonation: Impersonation | None = None

    @property
    def uses_client_certificate(self) -> bool:
        """Whether the user logs in by a certificate in the TLS handshake. A plugin may bring one too; it is not asked."""
        return self.certificate is not None

    @property
    def has_secret(self) -> bool:
        """Whether token, password or certificate are there; then kubectl does not ask plugins."""
        return bool(self.token or self.token_file or self.username or self.password or self.certificate)

    def over_plain_http(self) -> "Credential":
        """What kubectl uses of it without TLS: whom to impersonate, and no secret."""
        return Credential(where=self.where, impersonation=self.impersonation)

    def describe(self) -> str:
        """What it is, for people and without secrets: `client certificate CN=admin, O=system:masters`."""
        kinds: list[tuple[bool, Callable[[], str]]] = [
            (self.certificate is not None, self._certificate_text),
            (self.token_file is not None, lambda: f"bearer token from {printable(str(self.token_file))}"),
            (bool(self.token) and self.token_file is None, lambda: "bearer token"),
            (bool(self.username or self.password), lambda: f"user name {printable(self.username)} and password"),
            (not self.has_secret and self.exec_plugin is not None, self._plugin_text),
            (not self.has_secret and bool(self.auth_provider), lambda: f"auth provider {printable(self.auth_provider)}"),
        ]
        own = " and ".join(text() for applies, text in kinds if applies) or "no credential"
        return f"{own}, impersonating {printable(self.impersonation.user)}" if self.impersonation else own

    def _plugin_text(self) -> str:
        return f"exec plugin {printable(Path(self.exec_plugin.command).name)}" if self.exec_plugin else ""

    def _certificate_text(self) -> str:
        try:
            subject = x509.load_pem_x509_certificate(self.certificate.read() if self.certificate else b"").subject
        except (InvalidInput, ValueError):
            return "client certificate (which cannot be read)"
        parts = [
            f"{short}={printable(str(attribute.value))}"
            for short, oid in (("CN", NameOID.COMMON_NAME), ("O", NameOID.ORGANIZATION_NAME))
            for attribute in subject.get_attributes_for_oid(oid)
        ]
        return f"client certificate {', '.join(parts)}" if parts else "client certificate without a name"
