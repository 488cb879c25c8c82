"""The composition root: gathers facts, keeps HAProxy running, and wires everything else together."""
