"""The operating system: files with modes, folders, processes, interfaces. No policy, nothing about Kubernetes."""
