"""What a server refuses, as the errors that a command on this machine raises: object, fact, remedy, exit code."""

import re
from collections.abc import Mapping
from typing import Any, Final

from slacktide.errors import ExecutionError, InputError, OutputError, SlacktideError, StoreError, UsageError
from slacktide.findings import Finding

_LISTS: Final = {
    "fleet": "List those that there are: `slacktide fleet list`",
    "plan": "List those that there are: `slacktide server plans`",
    "campaign": "List those that there are: `slacktide campaign list`",
    "job": "List those that there are: `slacktide server jobs`",
}
"""What mends that an object is not there, in place of the operation of the API."""
_BY_STATUS: Final[dict[int, type[SlacktideError]]] = {
    401: UsageError,
    403: UsageError,
    404: UsageError,
    409: ExecutionError,
    413: InputError,
    422: InputError,
    507: OutputError,
}
_TOKEN: Final = (
    "Give a token that is valid now in SLACKTIDE_TOKEN, or in a file (--token-file); whoever runs the server makes "
    "one: `slacktide token create NAME --role operator`"
)


_COMMANDS: Final = (
    (re.compile(r"\bPOST /v1/campaigns/([0-9a-f]{16})/start"), r"`slacktide campaign start \1`"),
    (re.compile(r"\bGET /v1/campaigns/([0-9a-f]{16})\b"), r"`slacktide campaign show \1`"),
)
"""Operations of the API that remedies name, and the commands that do the same."""


def refusal_of(status: int, content: object, server: str, *, may_pass: bool = True) -> SlacktideError:
    """Return the error that an answer stands for.

    Parameters
    ----------
    content
        The answer's JSON, which is a problem where the server itself has answered; None: it is none.
    may_pass
        Whether the server asks to be asked again later (`Retry-After`).
    """
    if not isinstance(content, dict) or not {"object", "fact", "remedy"} <= content.keys():
        fact = f"answers {status}, and not as Slacktide does"
        return ExecutionError(server, fact, "See that the address is that of Slacktide's API, and of no other service")
    subject, fact, remedy = (str(content[name]) for name in ("object", "fact", "remedy"))
    if status == 401:
        return UsageError(server, f"lets nobody in so: {subject} {fact}", _TOKEN)
    if status == 404:
        return UsageError(subject, fact, _LISTS.get(subject.partition(" ")[0], remedy))
    passes = may_pass or str(content.get("type", "")).endswith(("away", "store"))
    if status == 503 and passes:
        return StoreError(subject, fact, remedy, retryable=True)
    return _error(_BY_STATUS.get(status, ExecutionError), content)


def failure_of(error: Mapping[str, Any]) -> SlacktideError:
    """Return the error with which a job failed."""
    told = dict(error)
    if "plan_id" in error:
        told["remedy"] = (
            f"{error['remedy']}. The plan that was made is kept: `slacktide server plan {error['plan_id']}`"
        )
    return _error(InputError if "findings" in error else ExecutionError, told)


def findings_of(rows: object) -> tuple[Finding, ...]:
    """Return findings as they were before they were sent."""
    if not isinstance(rows, list):
        return ()
    fields = Finding.__dataclass_fields__
    kept = [{name: value for name, value in row.items() if name in fields} for row in rows]
    return tuple(Finding(**{**row, "subjects": tuple(row.get("subjects") or ())}) for row in kept)


def _error(kind: type[SlacktideError], told: Mapping[str, Any]) -> SlacktideError:
    """Return an error; the exit code that is told says whether the call was wrong or what it is about."""
    subject, fact, remedy = str(told["object"]), str(told["fact"]), str(told["remedy"])
    for operation, command in _COMMANDS:
        remedy = operation.sub(command, remedy)
    if told.get("exit_code") == UsageError.exit_code:
        return UsageError(subject, fact, remedy)
    if issubclass(kind, InputError):
        return InputError(subject, fact, remedy, findings_of(told.get("findings")))
    return kind(subject, fact, remedy)
