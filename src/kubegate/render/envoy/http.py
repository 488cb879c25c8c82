"""How Envoy reads and guards HTTP: the connection manager, its limits, and what of a request is taken away."""

from typing import Any

from kubegate.render.envoy.replies import local_reply_config
from kubegate.render.envoy.routes import RBAC, SNI_HEADER
from kubegate.render.envoy.values import extension, typed
from kubegate.render.targets import Options

# An exec command of 20,000 characters, and headers of 32 KB.
_HEADER_KILOBYTES = 64
# Header names that only a proxy may say: who is calling, and what Envoy itself would take for orders.
_REMOVED = ("x-remote-", "x-envoy-")
_REMOVED_NAMES = ("x-real-ip", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "http2-settings")
_LOG_FIELDS = {
    "ts": "%START_TIME(%Y-%m-%dT%H:%M:%SZ)%",
    "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "port": "%DOWNSTREAM_REMOTE_PORT%",
    "backend": "%UPSTREAM_CLUSTER%",
    "server": "%UPSTREAM_HOST%",
    "method": "%REQ(:METHOD)%",
    "uri": "%REQ(:PATH):1024%",
    "agent": "%REQ(USER-AGENT):256%",
    "status": "%RESPONSE_CODE%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "ms": "%DURATION%",
    "end": "%RESPONSE_FLAGS%",
}


def manager(listener: str, hosts: list[dict[str, Any]], options: Options) -> dict[str, Any]:
    """The filter that speaks HTTP, with these virtual hosts."""
    fields: dict[str, Any] = {
        "stat_prefix": listener,
        "codec_type": "AUTO",
        # The caller's address is that of the connection, and goes to the API server as X-Forwarded-For.
        "use_remote_address": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        # Paths stay as they are: nothing is decided by them but how long silence may last.
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "max_request_headers_kb": _HEADER_KILOBYTES,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "3600s",
        "common_http_protocol_options": {
            "idle_timeout": "120s",
            "max_headers_count": 512,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {"allow_connect": True, "max_concurrent_streams": 250},
        "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "SPDY/3.1"}],
        "early_header_mutation_extensions": [_mutations()],
        "http_filters": [
            extension(RBAC, "filters.http.rbac.v3.RBAC"),
            extension("envoy.filters.http.router", "filters.http.router.v3.Router", suppress_envoy_headers=True),
        ],
        "route_config": {
            "name": listener,
            "ignore_port_in_host_matching": True,
            "request_headers_to_remove": [SNI_HEADER],
            "virtual_hosts": hosts,
        },
        "local_reply_config": local_reply_config(),
    }
    if options.access_log:
        log = {"json_format": {"listener": listener, **_LOG_FIELDS}}
        kind = "access_loggers.file.v3.FileAccessLog"
        fields["access_log"] = [extension("envoy.access_loggers.file", kind, path=options.access_log, log_format=log)]
    kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    return extension("envoy.filters.network.http_connection_manager", kind, **fields)


def _mutations() -> dict[str, Any]:
    """What happens to the headers of a request before anything is decided by them."""
    removed: list[dict[str, Any]] = [
        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}} for prefix in _REMOVED
    ]
    removed += [{"remove": name} for name in _REMOVED_NAMES]
    name = {"header": {"key": SNI_HEADER, "value": "%REQUESTED_SERVER_NAME%"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(
            "http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=[*removed, {"append": name}]
        ),
    }
