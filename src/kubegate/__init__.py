"""kubegate: the gate in front of the Kubernetes API server. Python decides, HAProxy carries."""

__version__ = "0.1.0"
