"""`python -m tests.golden` writes the expected files of every golden case anew."""

from tests.golden import objects_cases
from tests.golden.cases import NAMES, rewrite

for name in NAMES:
    rewrite(name)
for target in objects_cases.NAMES:
    objects_cases.rewrite(target)
