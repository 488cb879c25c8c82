"""What an approver was declared to do: whose requests it decides about, and by which rules. Unknown keys are refused."""

from typing import Annotated, Literal

import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from kubegate.model.config import API_VERSION
from kubegate.model.values import BadValue, FileName, Flag, Listen, Name, Whole

KIND: Literal["Approver"] = "Approver"
_MOST_DAYS = 3650


def _pattern(text: str) -> str:
    try:
        # RE2 would write to standard error by itself.
        options = re2.Options()
        options.log_errors = False
        re2.compile(text, options)
    except re2.error:
        raise BadValue(
            f"{text[:60]!r} is no pattern", "write a regular expression in RE2's syntax, as in worker-[0-9]+"
        ) from None
    return text


class ApproverConfig(BaseModel):
    """The file of `kubegate approver`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    api_version: Literal["kubegate.dev/v1alpha1"] = Field(default=API_VERSION, description="Version of this format.")
    kind: Literal["Approver"] = Field(default=KIND, description="What is declared.")
    namespace: Name = Field(
        default="kubegate-approver", description="Where its records and its Lease are; no node may write there."
    )
    groups: tuple[str, ...] = Field(min_length=1, description="Groups of bootstrap tokens that may bootstrap nodes.")
    names: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        min_length=1, description="Patterns (RE2) of names that new nodes may have; one has to accept the whole name."
    )
    inventory: FileName | None = Field(
        default=None, description="File that says which names and addresses each node has. Default: a person confirms them."
    )
    resolve: Flag = Field(
        default=False, description="Whether DNS names have to lead to addresses of their node, and nowhere else."
    )
    max_days: Whole | None = Field(
        default=None, ge=1, le=_MOST_DAYS, description="Longest lifetime that may be asked for. Default: the signer's own bound."
    )
    dry_run: Flag = Field(default=False, description="Whether decisions are only told.")
    metrics: Listen | None = Field(default=None, description="Address for metrics and status. Default: none.")
