"""`python -m tests.cluster`: the cluster by hand."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys

from tests.cluster import build, layout, versions
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.state import State


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes cluster for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the programs, which is done once and takes some minutes")
    commands.add_parser("up", help="bring the cluster up; it stays until `down`")
    commands.add_parser("down", help="remove every trace of it")
    commands.add_parser("env", help='print the shell\'s variables: eval "$(python -m tests.cluster env)"')
    version = commands.add_parser("set-version", help="make harness/go.mod and go.sum those of a Kubernetes version")
    version.add_argument("version", nargs="?", help="such as 1.37.2; by default the one in go.mod's line")
    arguments = parser.parse_args()
    # As Ctrl-C does: what was begun is taken back before the end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        match arguments.command:
            case "build":
                build.programs(_tell)
            case "up":
                _up()
            case "down":
                Cluster.down(_tell)
            case "env":
                _env()
            case _:
                print(f"harness/go.mod is for Kubernetes {versions.set_version(arguments.version, _tell)}.")
    except ClusterError as error:
        print(error, *getattr(error, "__notes__", []), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _up() -> None:
    with Cluster.up(keep=True, progress=_tell) as cluster:
        servers = " and ".join(server.url for server in cluster.servers)
        print(f"Kubernetes {cluster.version} is up: {servers}, node {cluster.node_name} at {cluster.node_address}.")
        print('For kubectl:  eval "$(python -m tests.cluster env)"')


def _env() -> None:
    state = State.load()
    if state is None or not state.running():
        raise ClusterError("No test cluster is up: run `python -m tests.cluster up` first.")
    print(f"export KUBECONFIG={shlex.quote(str(layout.KUBECONFIGS / 'admin.yaml'))}")
    print(f"export KUBECACHEDIR={shlex.quote(str(layout.HOME))}")
    print(f"export PATH={shlex.quote(state.binaries)}:$PATH")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
