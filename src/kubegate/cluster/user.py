"""The `user` of a kubeconfig, read into a Credential with the checks of kubectl (client-go's validateAuthInfo)."""

from kubegate.cluster.credential import Credential, ExecPlugin, Impersonation, Pem
from kubegate.cluster.document import Entry
from kubegate.cluster.fields import Fields
from kubegate.model.problem import Problem

_MODES = ("Never", "IfAvailable", "Always")
_VERSION = "client.authentication.k8s.io/v1"
_HAS_DEFAULT_MODE = "client.authentication.k8s.io/v1beta1"


def read_user(entry: Entry, problems: list[Problem]) -> Credential:
    """What a user declares. Adds all that kubectl would refuse to `problems`; files are not opened."""
    fields = entry.fields(problems)
    provider = fields.mapping("auth-provider")
    credential = Credential(
        where=fields.where,
        token=fields.text("token"),
        token_file=fields.path("tokenFile"),
        username=fields.text("username"),
        password=fields.text("password"),
        certificate=_pem(fields, "client-certificate"),
        key=_pem(fields, "client-key"),
        exec_plugin=_plugin(fields),
        auth_provider=(provider.text("name") or "without a name") if provider else "",
        provider_settings=_settings(provider),
        token_where=fields.at("token"),
        file=entry.file,
        impersonation=_impersonation(fields),
    )
    _check_together(credential, fields)
    return credential


def _pem(fields: Fields, key: str) -> Pem | None:
    path, data, data_key = fields.path(key), fields.data(f"{key}-data"), f"{key}-data"
    if path is not None and fields.text(data_key):
        fields.wrong(key, "user.both", f"is given beside {data_key}", "keep one of the two")
    if data is not None:
        return Pem(fields.at(data_key), data=data)
    return Pem(fields.at(key), path=path) if path is not None else None


def _check_together(credential: Credential, fields: Fields) -> None:
    if credential.username or credential.password:
        for key, given in (("token", bool(credential.token)), ("tokenFile", credential.token_file is not None)):
            if given:
                fields.wrong(key, "user.several", "is given beside username and password", "keep one of the two")
    if credential.certificate and not credential.key and not fields.text("client-key-data"):
        fields.wrong("client-key", "user.key", "is missing, though a client certificate is given")
    if credential.exec_plugin and credential.auth_provider:
        fields.wrong("auth-provider", "user.several", "is given beside exec", "keep exec")


def _settings(provider: Fields | None) -> tuple[tuple[str, str], ...]:
    found = provider.mapping("config") if provider else None
    return tuple((key, found.text(key)) for key in found.keys()) if found else ()  # noqa: SIM118


def _plugin(fields: Fields) -> ExecPlugin | None:
    found = fields.mapping("exec")
    if found is None:
        return None
    version = found.text("apiVersion")
    for key, hint in (("command", "name the program"), ("apiVersion", f"write {_VERSION}")):
        if not found.text(key):
            found.wrong(key, "exec", "is missing", hint)
    mode = found.text("interactiveMode") or ("IfAvailable" if version == _HAS_DEFAULT_MODE else "")
    if mode not in _MODES:
        message = "is none of Never, IfAvailable, Always" if mode else "is missing"
        found.wrong("interactiveMode", "exec", message, "set it to IfAvailable")
    path, arguments = found.path("command"), found.texts("args")
    if any("\0" in one for one in arguments):
        found.wrong("args", "exec", "has a zero character, which no process can be given")
    return ExecPlugin(
        where=found.where,
        command=str(path) if path and "/" in found.text("command") else found.text("command"),
        arguments=arguments,
        environment=_environment(found),
        api_version=version,
        install_hint=found.text("installHint"),
        provide_cluster_info=found.flag("provideClusterInfo"),
        interactive_mode=mode,
    )


def _environment(fields: Fields) -> tuple[tuple[str, str], ...]:
    pairs = []
    for one in fields.entries("env"):
        name, value = one.text("name"), one.text("value")
        if not name or "=" in name or "\0" in name + value:
            one.wrong("name", "exec", "is no name of an environment variable")
        pairs.append((name, value))
    return tuple(pairs)


def _impersonation(fields: Fields) -> Impersonation | None:
    user, uid, groups = fields.text("as"), fields.text("as-uid"), fields.texts("as-groups")
    extra_fields = fields.mapping("as-user-extra")
    extra = tuple((key, extra_fields.texts(key)) for key in extra_fields.keys()) if extra_fields else ()  # noqa: SIM118
    if not user and (uid or groups or extra):
        fields.wrong("as", "user.impersonation", "is missing, though as-uid, as-groups or as-user-extra is given")
    texts = [user, uid, *groups, *(key + "".join(values) for key, values in extra)]
    if any(ord(char) < 0x20 or ord(char) == 0x7F for text in texts for char in text):
        fields.wrong("as", "user.impersonation", "control characters cannot be sent")
    return Impersonation(user, uid, groups, extra) if user else None
