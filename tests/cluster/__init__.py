"""A real single-node Kubernetes cluster with two API servers, for tests.  See README.md beside this file."""

from tests.cluster.accounts import Account
from tests.cluster.cluster import ApiServer, Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.pki import Authority, Leaf

__all__ = ["Account", "ApiServer", "Authority", "Cluster", "ClusterError", "Leaf"]
