"""Pure meaning: what was declared, what it means, what really runs. No sockets, files or processes."""
