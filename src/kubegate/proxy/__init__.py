"""What Python decides and keeps for the local proxy, while HAProxy carries the requests."""
