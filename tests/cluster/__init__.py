"""Real single-node Kubernetes clusters for tests.  See README.md beside this file."""

from tests.cluster.accounts import Account
from tests.cluster.cluster import ApiServer, Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.layout import FIRST, SECOND, Site
from tests.cluster.pki import Authority, Leaf

__all__ = ["FIRST", "SECOND", "Account", "ApiServer", "Authority", "Cluster", "ClusterError", "Leaf", "Site"]
