"""Measurements: ratios and differences within one run on one machine, never assertions."""
