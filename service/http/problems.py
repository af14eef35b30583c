"""What went wrong, as RFC 9457 has it: problem+json that names object, fact and remedy."""

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from slacktide.errors import (
    ExecutionError,
    InputError,
    InternalError,
    OutputError,
    SlacktideError,
    UsageError,
)
from slacktide.executors.store.refusals import DAMAGED
from slacktide.service.kept_files import DamagedError

Found = TypeVar("Found")
MEDIA_TYPE: Final = "application/problem+json"
FINDINGS_SHOWN: Final = 100
TITLES: Final = {
    400: "The request cannot be read",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "Not that way",
    409: "Not now",
    411: "How long it is has to be said",
    413: "Too large",
    415: "Not of a kind that is taken",
    422: "Not as it has to be",
    429: "Too often",
    500: "A bug in Slacktide",
    503: "Not at the moment",
    507: "No room",
}
log = logging.getLogger("slacktide.http")


class Problem(BaseModel):
    """An error: what it is about, what is so, and what mends it."""

    type: str = Field(examples=["urn:slacktide:problem:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["fleet 6c6eeb428fcb937b: is not there. Upload it, or list fleets: GET /v1/fleets"])
    object: str = Field(examples=["fleet 6c6eeb428fcb937b"])
    fact: str = Field(examples=["is not there"])
    remedy: str = Field(examples=["Upload it, or list fleets: GET /v1/fleets"])
    request_id: str | None = Field(default=None, examples=["4f1c2a9b0d3e5f67"])
    """Stands in the audit log too."""
    exit_code: int = Field(default=1, examples=[1])
    """That of the command line for such an error: 2 where the call is wrong, else 1."""
    findings: list[dict[str, Any]] | None = None


RETRY_AFTER_S: Final = "5"
"""Seconds after which it is worth while to ask again."""


class ApiError(SlacktideError):
    """A refusal with an HTTP status of its own."""

    def __init__(
        self, status: int, kind: str, subject: str, fact: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(subject, fact, remedy)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


def not_found(what: str, name: str, remedy: str) -> ApiError:
    """Return the error of an object that is not there."""
    return ApiError(404, "not-found", f"{what} {name}", "is not there", remedy)


def there(found: Found | None, what: str, name: str, remedy: str) -> Found:
    """Return what was looked for.

    Raises
    ------
    ApiError
        404, if it was not found.
    """
    if found is None:
        raise not_found(what, name, remedy)
    return found


def problem_of(error: BaseException, request_id: str | None, hidden: str = "") -> tuple[Problem, dict[str, str]]:
    """Return an error as a problem, and the headers that go with it.

    Parameters
    ----------
    hidden
        Path that is nobody's business, left out of what is said.
    """
    if isinstance(error, HTTPException):
        error = ApiError(
            error.status_code, "http", "request", str(error.detail).lower(), _http_remedy(error), error.headers
        )
    if isinstance(error, RequestValidationError):
        return _invalid(error, request_id), {}
    if isinstance(error, DamagedError):
        log.error("request %s: %s %s", request_id, error.subject, error.fact, exc_info=error)
    if not isinstance(error, SlacktideError) or isinstance(error, InternalError):
        log.error("request %s: %s", request_id, type(error).__name__, exc_info=error)
        fact = f"this is a bug in Slacktide: {type(error).__name__}"
        error = ApiError(500, "bug", "server", fact, f"Report it with the server's log of request {request_id}")
    status, kind = _status(error)
    said = error.said_to_others()
    if error.of_store:
        log.warning("request %s: %s", request_id, error)
    subject, fact, remedy = (text.replace(f"{hidden}/", "") if hidden else text for text in said)
    findings = None
    if isinstance(error, InputError) and error.findings:
        findings = [finding.as_dict() for finding in error.findings[:FINDINGS_SHOWN]]
    headers = error.headers if isinstance(error, ApiError) else {}
    code = error.exit_code
    if error.of_store and error.retryable:
        headers = {"Retry-After": RETRY_AFTER_S}
    return _problem(status, kind, (subject, fact, remedy), request_id, findings, code), headers


def response_of(problem: Problem, headers: Mapping[str, str]) -> Response:
    """Return a problem as an answer."""
    content = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, problem.status, dict(headers), MEDIA_TYPE)


def answer_of(error: BaseException, request_id: str, hidden: str = "") -> Response:
    """Return an error as the answer to a call that admission has let through; parameters as :func:`problem_of`."""
    response = response_of(*problem_of(error, request_id, hidden))
    response.headers.update({"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff"})
    response.headers["Cache-Control"] = "no-store"
    return response


def _status(error: SlacktideError) -> tuple[int, str]:
    if error.of_store and error.retryable:
        return 503, "store"
    if isinstance(error, ExecutionError) and (error.about is not None or error.fact.startswith(DAMAGED)):
        return 500, "damaged"
    match error:
        case DamagedError():
            return 500, "damaged"
        case ApiError():
            return error.status, error.kind
        case UsageError() | InputError():
            return 422, "invalid"
        case OutputError():
            return 507, "no-room"
        case ExecutionError():
            return 409, "conflict"
    return 500, "bug"


def _problem(
    status: int,
    kind: str,
    said: tuple[str, str, str],
    request_id: str | None,
    findings: list[dict[str, Any]] | None = None,
    exit_code: int = 1,
) -> Problem:
    subject, fact, remedy = said
    return Problem(
        type=f"urn:slacktide:problem:{kind}",
        title="What is kept is damaged" if kind == "damaged" else TITLES.get(status, "Refused"),
        status=status,
        detail=f"{subject}: {fact}. {remedy}",
        object=subject,
        fact=fact,
        remedy=remedy,
        request_id=request_id,
        exit_code=exit_code,
        findings=findings,
    )


def _invalid(error: RequestValidationError, request_id: str | None) -> Problem:
    """Return what is wrong with a request's fields; their values are not repeated, they may be secrets."""
    findings = []
    for wrong in error.errors():
        place = ".".join(str(part) for part in wrong["loc"])
        if wrong["type"] == "json_invalid":
            findings.append(_no_json(wrong["loc"][-1], str(wrong.get("ctx", {}).get("error", ""))))
            continue
        fact, _, how = str(wrong["msg"]).removeprefix("Value error, ").partition("; ")
        remedy = f"{how[0].upper()}{how[1:]}" if how else "Correct it: /openapi.json says what is taken"
        findings.append({"rule": "request-field", "message": f"{place}: {fact.lower()}", "remedy": remedy})
    first = findings[0]
    place, _, fact = first["message"].partition(": ")
    more = f", and {len(findings) - 1} more fields are wrong" if findings[1:] else ""
    said = (place, f"{fact}{more}", first["remedy"])
    return _problem(422, "invalid", said, request_id, findings[:FINDINGS_SHOWN], UsageError.exit_code)


def _no_json(place: object, error: str) -> dict[str, str]:
    """Return what is wrong with a body that is no JSON, at which character."""
    why = f": {error[:1].lower()}{error[1:]}" if error else ""
    remedy = "Send one JSON object; /openapi.json has an example of every body"
    return {"rule": "request-field", "message": f"body: is no JSON at character {place}{why}", "remedy": remedy}


def _http_remedy(error: HTTPException) -> str:
    known = {404: "See /openapi.json for what there is", 405: "See /openapi.json for the methods that this path takes"}
    return known.get(error.status_code, "See /openapi.json for what is taken")
