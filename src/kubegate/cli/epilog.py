"""What stands below the help of a command."""


def examples(*commands: str) -> str:
    """An epilog that lists commands, one a line."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
