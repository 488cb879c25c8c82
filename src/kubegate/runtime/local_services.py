"""Services opened from the explorer: each on a port, and so an origin, of its own, which leads to that service alone."""

from dataclasses import replace

from kubegate.errors import KubegateError
from kubegate.model.proxy_plan import Listener
from kubegate.model.service_ref import ServiceRef
from kubegate.system.network import free_port

_MOST = 64


class LocalServices:
    """The listeners of services that were opened so far, by context and service."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, ServiceRef], Listener] = {}

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """As the plan has them."""
        return tuple(self._opened.values())

    def url(self, key: str, service: ServiceRef) -> str:
        """Where a service of a context was opened, empty if it was not."""
        found = self._opened.get((key, service))
        return f"{found.origins[0]}/" if found else ""

    def add(self, key: str, service: ServiceRef, beside: Listener, host: str) -> None:
        """Have a listener for a service of a context, at the address `host` of another one. Raises KubegateError."""
        if len(self._opened) >= _MOST:
            raise KubegateError(f"{_MOST} services are open already", "restart the proxy to close them")
        port = free_port(host)
        shown = f"[{host}]" if ":" in host else host
        self._opened[key, service] = replace(
            beside,
            name=f"service{len(self._opened)}",
            descriptor=-1,
            address=f"{shown}:{port}",
            target=key,
            port=port,
            several=False,
            service=service.path,
            cookie_port=beside.port,
        )

    def remove(self, key: str, service: ServiceRef) -> None:
        """It is not there after all."""
        self._opened.pop((key, service), None)
