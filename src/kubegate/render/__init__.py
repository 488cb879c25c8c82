"""Plan to text, pure: one module or package for each target. Nothing here opens a file, a socket or a process."""
