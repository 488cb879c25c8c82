"""Certificates and keys: what they say, whether they can serve, and the one that the gate makes for itself.

A door to files and to the `cryptography` library, without policy: it knows neither clusters nor HAProxy.
"""
