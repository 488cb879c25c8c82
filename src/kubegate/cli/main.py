"""The entry point of the program `kubegate`: what has to hold before anything else is even loaded."""

# Without the enumerations of `signal`, whose loading a Ctrl-C could meet.
import _signal  # type: ignore[import-not-found]

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Until a gate is about to run there is nothing to clean up, and a Ctrl-C should end this without a traceback.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import contextlib
import gc
import io
import os
import sys
import warnings


def run() -> None:
    """The entry point of the console script."""
    _have_standard_streams()
    # They are for developers, who ask for them.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Of what is loaded nothing becomes garbage, and looking for some takes a fifth of the start.
    gc.disable()
    if sys.argv[1:2] == ["proxy"]:
        # Scripts wait for it, so nothing else is loaded.
        from kubegate.cli import proxy

        gc.enable()
        proxy.main(sys.argv[2:])
    from kubegate.cli.app import app

    gc.freeze()
    gc.enable()
    app(prog_name="kubegate")


def _have_standard_streams() -> None:
    """See that descriptors 0 to 2 are taken, for what is opened later must not land there; and that any text can be written."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
