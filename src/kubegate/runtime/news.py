"""What a gate says while it runs: each thing once, in a sentence, when it happens."""

from kubegate.model.problem import Problem
from kubegate.runtime.dataplane import Outcome
from kubegate.runtime.process import Say


class News:
    """Says what happened."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._warned: frozenset[Problem] = frozenset()

    def say(self, sentence: str) -> None:
        """One sentence."""
        self._say(sentence)

    def haproxy(self, sentence: str) -> None:
        """What HAProxy or its supervisor tells."""
        self._say(sentence)

    def refused(self, problems: tuple[Problem, ...]) -> None:
        """A configuration that is not taken."""
        if not problems:
            return
        self._say(f"refused, and what ran before goes on: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
        for problem in problems:
            where = f"{problem.where}: " if problem.where else ""
            hint = f" ({problem.hint})" if problem.hint else ""
            self._say(f"  {where}{problem.message}{hint}")

    def warned(self, warnings: tuple[Problem, ...]) -> None:
        """What is not as it should be; what was said already is said again only once it had been over."""
        for problem in dict.fromkeys(warnings):
            if problem not in self._warned:
                where = f"{problem.where}: " if problem.where else ""
                self._say(f"warning: {where}{problem.message}")
        self._warned = frozenset(warnings)

    def changed(self, outcome: Outcome, generation: int) -> None:
        """A change that was taken."""
        how = "by a reload" if outcome.reloaded else "while running"
        ended = f"; {outcome.ended} open streams were ended" if outcome.ended else ""
        self._say(f"generation {generation}, {how}{ended}: {'; '.join(outcome.changes) or 'as declared'}")
        for warning in outcome.warnings:
            self._say(f"warning: {warning}")
