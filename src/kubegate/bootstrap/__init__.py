"""Kubelet TLS bootstrap: from a token to a trusted node. What is decided here is decided from values."""
