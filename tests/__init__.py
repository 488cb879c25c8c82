"""Tests: unit (no socket, no process), golden (whole files), feature (the real HAProxy), e2e (the real Kubernetes)."""
