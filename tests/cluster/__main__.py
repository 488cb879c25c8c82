"""`python -m tests.cluster`: the clusters by hand."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys

from tests.cluster import build, go_programs, versions
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.layout import FIRST, SITES, Site
from tests.cluster.state import State


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="Real Kubernetes clusters for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the programs, which is done once and takes some minutes")
    up = commands.add_parser("up", help="bring a cluster up; it stays until `down`")
    down = commands.add_parser("down", help="remove every trace of one cluster, or of all")
    env = commands.add_parser("env", help='print the shell\'s variables: eval "$(python -m tests.cluster env)"')
    for command in (up, env):
        command.add_argument("cluster", nargs="?", choices=SITES, default=FIRST.name, help=f"by default {FIRST.name}")
    down.add_argument("cluster", nargs="?", choices=SITES, help="by default all")
    version = commands.add_parser("set-version", help="make harness/go.mod and go.sum those of a Kubernetes version")
    version.add_argument("version", nargs="?", help="such as 1.37.2; by default the one in go.mod's line")
    arguments = parser.parse_args()
    # As Ctrl-C does: what was begun is taken back before the end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        match arguments.command:
            case "build":
                build.programs(_tell)
                for program in go_programs.PROGRAMS:
                    go_programs.built(program, _tell)
            case "up":
                _up(SITES[arguments.cluster])
            case "down":
                for name in [arguments.cluster] if arguments.cluster else SITES:
                    Cluster.down(SITES[name], _tell)
            case "env":
                _env(SITES[arguments.cluster])
            case _:
                print(f"harness/go.mod is for Kubernetes {versions.set_version(arguments.version, _tell)}.")
    except ClusterError as error:
        print(error, *getattr(error, "__notes__", []), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _up(site: Site) -> None:
    with Cluster.up(site, keep=True, progress=_tell) as cluster:
        servers = " and ".join(server.url for server in cluster.servers)
        print(f"Kubernetes {cluster.version} is up: {servers}, node {cluster.node_name} at {cluster.node_address}.")
        print(f'For kubectl:  eval "$(python -m tests.cluster env {site.name})"')


def _env(site: Site) -> None:
    state = State.load(site)
    if state is None or not state.running():
        raise ClusterError(f"The {site.name} test cluster is not up: run `python -m tests.cluster up {site.name}` first.")
    print(f"export KUBECONFIG={shlex.quote(str(site.kubeconfigs / 'admin.yaml'))}")
    print(f"export KUBECACHEDIR={shlex.quote(str(site.home))}")
    print(f"export PATH={shlex.quote(state.binaries)}:$PATH")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
