"""The addresses on a `bind` line."""

from kubegate.model.address import Endpoint
from kubegate.model.plan import Plan


def listened(at: Endpoint, plan: Plan) -> str:
    """What listens at one declared address of a plan, with the options that go with it.

    Every IPv6 address means those of IPv4 too, whatever the system's `net.ipv6.bindv6only` says, unless another listener has them.
    Each family has a socket of its own, so that IPv4 callers are known by their addresses as they are, not as `::ffff:a.b.c.d`.
    """
    if at.host != "::":
        return str(at)
    ipv4 = Endpoint("0.0.0.0", at.port)  # noqa: S104 - typed by the operator, as [::]
    others = {*(front.listen for front in plan.frontends), plan.process.metrics}
    return f"{at} v6only" if ipv4 in others else f"{ipv4},{at} v6only"
