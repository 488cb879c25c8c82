"""The Marathon target (DC/OS): an application of a stock HAProxy on a public agent's network, and the set that it mounts.

Fields by Marathon's JSON schema of an application (1.6, AppDefinition).
"""

import json
from typing import Any

from kubegate.model.plan import Plan
from kubegate.render.haproxy import standalone
from kubegate.render.keys import Refusals
from kubegate.render.targets import Artefact, Options, Rendered

APP_FILE = "app.json"
DEFAULT_IMAGE = "haproxy:2.8"
DEFAULT_FOLDER = "/srv/kubegate"
# Where the official images look for their configuration.
MOUNTED = "/usr/local/etc/haproxy"
# Root may read the keys and bind any port; HAProxy then goes on as nobody, by numbers that need no line in /etc/passwd.
# The socket between sections of a listener of both modes is made by root, and used by nobody.
_NOBODY = ["uid 65534", "gid 65534", "unix-bind uid 65534 gid 65534"]
_USUAL_DRAIN_SECONDS = 30
REFUSED: Refusals = standalone.REFUSED


def render(plan: Plan, options: Options) -> Rendered:
    """`app.json`, and the set of a stand-alone HAProxy that its container mounts from `options.folder` of the agent."""
    held = standalone.rendered(plan, options, _NOBODY, "Mesos keeps that as stdout of the task")
    folder = options.folder or DEFAULT_FOLDER
    text = json.dumps(app(plan, options), indent=2) + "\n"
    hosts = sorted({route.host for front in plan.frontends for route in front.routes})
    records = [f"an A record for {host} with the addresses of the public agents" for host in hosts]
    return Rendered(
        (Artefact(APP_FILE, text.encode()), *held.artefacts),
        (*held.notes, "Marathon itself was not run: app.json is held against its published schema"),
        (f"the set in {folder} on every public agent", f"dcos marathon app add {APP_FILE}", *records),
    )


def app(plan: Plan, options: Options) -> dict[str, Any]:
    """The application. JSON has no comments: its labels say from what it was made."""
    drain = options.drain if options.drain is not None else _USUAL_DRAIN_SECONDS
    ports = [(front.name, front.listen.port) for front in plan.frontends]
    if plan.process.metrics is not None:
        ports.append(("metrics", plan.process.metrics.port))
    return {
        "id": f"/{options.name}",
        "labels": {
            "KUBEGATE_VERSION": options.version,
            "KUBEGATE_SOURCE": options.source,
            "KUBEGATE_NOT_RUN": "Marathon; HAProxy 3.x",
        },
        # The entry point of the image puts -W and -db before them.
        "args": ["haproxy", "-f", f"{MOUNTED}/haproxy.cfg"],
        "instances": 1,
        "cpus": max(0.5, float(plan.process.threads)),
        "mem": 512,
        "acceptedResourceRoles": ["slave_public"],
        "constraints": [["hostname", "UNIQUE"]],
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": port, "protocol": "tcp", "name": _port_name(name)} for name, port in ports],
        "requirePorts": True,
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": options.image or DEFAULT_IMAGE,
                "forcePullImage": False,
                "parameters": [{"key": "user", "value": "0:0"}],
            },
            "volumes": [{"hostPath": options.folder or DEFAULT_FOLDER, "containerPath": MOUNTED, "mode": "RO"}],
        },
        "healthChecks": [
            {
                "protocol": "MESOS_TCP",
                "portIndex": 0,
                "gracePeriodSeconds": 60,
                "intervalSeconds": 10,
                "timeoutSeconds": 5,
                "maxConsecutiveFailures": 3,
            }
        ],
        # The ports are the host's: the old one has to leave before the new one can come.
        "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0},
        "taskKillGracePeriodSeconds": drain,
    }


def _port_name(name: str) -> str:
    """A listener's name in the letters of Marathon, which begin with a letter."""
    return name if name[:1].isalpha() else f"port-{name}"
