"""The annotations of one Ingress (ingress-nginx, user guide, Annotations)."""

from datetime import timedelta

from kubegate.render.sites import Site

_PREFIX = "nginx.ingress.kubernetes.io/"
# kube-apiserver's own bound on request bodies is 3 MiB (MaxRequestBodyBytes).
_BODY = "8m"


def annotations(site: Site, ca_secret: str) -> dict[str, str]:
    """All that an Ingress needs; `ca_secret` is NAMESPACE/NAME of the CA."""
    if not site.opened:
        return {f"{_PREFIX}ssl-passthrough": "true"}
    found = {**_upstream(site, ca_secret), **_streams(site), **_access(site)}
    return {f"{_PREFIX}{key}": value for key, value in found.items()}


def _upstream(site: Site, ca_secret: str) -> dict[str, str]:
    """An API server reached by TLS and verified by CA and name."""
    found = {"backend-protocol": "HTTPS", "force-ssl-redirect": "true"}
    if site.verification is None:
        return found | {"proxy-ssl-verify": "off"}
    return found | {
        "proxy-ssl-verify": "on",
        "proxy-ssl-verify-depth": "5",
        "proxy-ssl-secret": ca_secret,
        "proxy-ssl-name": site.verification.name,
        "proxy-ssl-server-name": "on" if site.verification.send_sni else "off",
    }


def _streams(site: Site) -> dict[str, str]:
    """Nothing is held back, and silence ends nothing: watches, followed logs, exec."""
    silence = _seconds(site.cluster.timeouts.stream)
    found = {
        "proxy-http-version": "1.1",
        "proxy-connect-timeout": _seconds(site.cluster.timeouts.connect),
        "proxy-read-timeout": silence,
        "proxy-send-timeout": silence,
        "proxy-buffering": "off",
        "proxy-request-buffering": "off",
        "proxy-body-size": _BODY,
    }
    return found | ({"load-balance": "round_robin"} if "balance" in site.cluster.model_fields_set else {})


def _access(site: Site) -> dict[str, str]:
    """Who may come, and how often."""
    found = {}
    if site.cluster.allow:
        found["whitelist-source-range"] = ",".join(str(network) for network in site.cluster.allow)
    if site.cluster.limits.requests_per_second is not None:
        found |= {"limit-rps": str(site.cluster.limits.requests_per_second), "limit-burst-multiplier": "1"}
    return found


def _seconds(span: timedelta) -> str:
    return str(int(span.total_seconds()))
