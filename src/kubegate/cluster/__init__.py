"""The only code that speaks to a Kubernetes API server: kubeconfigs, credentials, a small client, typed errors.

A door to the outside, without policy: it says what is declared, what answers and what is refused, never what to do
about it.
"""
