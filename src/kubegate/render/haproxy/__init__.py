"""The HAProxy target: the only code that knows HAProxy's syntax. One module for each section of the file."""

from kubegate.model.plan import Plan
from kubegate.render.bundle import Bundle
from kubegate.render.haproxy import backend, defaults, frontend, global_

CONFIG_FILE = "haproxy.cfg"
ADMIN_SOCKET = "admin.sock"


def render(plan: Plan) -> Bundle:
    """The files of one generation: `haproxy.cfg` and what it names, relative to the folder HAProxy is started in."""
    files: dict[str, bytes] = {}
    sections = [global_.render(plan, ADMIN_SOCKET), defaults.render()]
    for front in plan.frontends:
        sections.append(frontend.render(front, files))
        sections.append(backend.render(front.backend, opened=front.certificate_pem is not None, files=files))
    files[CONFIG_FILE] = ("\n\n".join(sections) + "\n").encode()
    return Bundle(files)
