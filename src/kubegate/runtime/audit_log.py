"""API servers' audit logs (audit.k8s.io/v1, one JSON event a line): when a user was last seen. Nothing else knows it."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import orjson

from kubegate.model.names import printable
from kubegate.model.problem import InvalidInput, Problem
from kubegate.system.files import reason


def last_uses(files: Sequence[Path], users: Collection[str]) -> dict[str, datetime]:
    """The time of the last request of each user who is in the logs. Raises InvalidInput if one cannot be read."""
    found: dict[str, datetime] = {}
    problems = []
    for file in files:
        try:
            for user, moment in _events(file, users):
                found[user] = max(moment, found.get(user, moment))
        except OSError as error:
            where = f"--audit-log {printable(str(file))}"
            problems.append(
                Problem(where, "grant.audit-log", f"cannot be read: {reason(error)}", "check the path, and who may read it")
            )
    if problems:
        raise InvalidInput(problems)
    return found


def _events(file: Path, users: Collection[str]) -> Iterator[tuple[str, datetime]]:
    wanted = [user.encode() for user in users]
    with file.open("rb") as lines:
        for line in lines:
            # Most lines are about others, and need not be understood.
            if not any(user in line for user in wanted):
                continue
            try:
                event = orjson.loads(line)
                user, moment = event["user"]["username"], datetime.fromisoformat(event["requestReceivedTimestamp"])
            except (ValueError, KeyError, TypeError):
                continue
            if user in users and moment.tzinfo is not None:
                yield user, moment
