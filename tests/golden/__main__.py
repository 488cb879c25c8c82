"""`python -m tests.golden` writes the expected files of every golden case anew."""

from tests.golden.cases import NAMES, rewrite

for name in NAMES:
    rewrite(name)
