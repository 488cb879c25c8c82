"""What commands and groups of commands have in common: examples below their help, and how their help is asked for."""

import typer


def examples(*commands: str) -> str:
    """An epilog that lists commands, one a line."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def group(summary: str, *commands: str) -> typer.Typer:
    """Commands below a command; `commands` are examples."""
    return typer.Typer(
        help=summary,
        epilog=examples(*commands) if commands else None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
