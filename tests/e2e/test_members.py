"""API servers that join and leave: what a gate that follows the `kubernetes` Service has to follow."""

import signal

from tests.cluster.cluster import Cluster


def test_one_more_api_server_joins_and_leaves(cluster: Cluster) -> None:
    lasting = {server.address for server in cluster.servers}
    assert cluster.members() == lasting
    cluster.add_apiserver(cluster.spare.index)
    try:
        assert cluster.members() == lasting | {cluster.spare.address}
        assert cluster.kubectl("get", "--raw", "/readyz", "--server", cluster.spare.url).stdout == "ok"
    finally:
        cluster.remove_apiserver(cluster.spare.index)
    assert cluster.members() == lasting


def test_a_lasting_one_crashes_leaves_and_is_back(cluster: Cluster) -> None:
    lasting = {server.address for server in cluster.servers}
    cluster.remove_apiserver(1, signal.SIGKILL)
    try:
        assert cluster.members() == lasting - {cluster.servers[1].address}
    finally:
        cluster.add_apiserver(1)
    assert cluster.members() == lasting
