"""What Python decides for the local proxy; HAProxy carries the requests."""
