"""An action over HTTP: the call, and the status of the job that it began.  It is a process of its own.

It is given a :class:`Call` as a file, and prints an :class:`~slacktide.executors.maintenance.outcome.Outcome` as JSON.
The answer to the call is kept in a file: who takes the try up after this process was killed asks for the status and
does not call again.  The call carries an ``Idempotency-Key``, so that an interface that heeds it knows a call that is
repeated.
"""

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from slacktide.atomic import write_file
from slacktide.errors import DriverError, OutputError
from slacktide.executors.maintenance.action import ACTION, HttpAction, Polling, Request
from slacktide.executors.maintenance.filling import (
    Secrets,
    Target,
    address,
    as_text,
    at,
    everywhere,
    filled,
    revealed,
)
from slacktide.executors.maintenance.outcome import DONE, Outcome, failed, refused
from slacktide.ids import HostId

CONNECT_S: Final = 10.0
"""How long a connection may take to be accepted."""
PASSING: Final = frozenset({408, 425, 429})
"""Codes of a refusal that passes; other codes from 300 to 499 say that the call itself is wrong.

Redirections are not followed: what is sent may hold secrets, and is for the address in the file."""
LOCATION: Final = "{location}"
ANSWER_FIELD: Final = re.compile(r"\{answer\.([^{}]+)\}")
JOB_GONE: Final = frozenset({404, 410})
ANSWER_CHARACTERS: Final = 65_536
"""Of an answer that is kept."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one try is given."""

    action: Mapping[str, Any]
    """As in its file, variables not looked up."""
    host: str
    patch_level: str
    key: str
    """Same for a call that is repeated because its answer did not come."""
    until_wall_s: float
    """When to stop asking for a status, in seconds since 1970."""
    answer_file: str


class Caller:
    """Carries one try out."""

    def __init__(self, call: Call, environment: Mapping[str, str]) -> None:
        self._call = call
        action = ACTION.validate_python(call.action)
        assert isinstance(action, HttpAction)
        self._action = action
        self._target = Target(HostId(call.host), call.patch_level)
        self._environment = environment
        self._secrets = Secrets(call.action, environment)

    def outcome(self) -> Outcome:
        """Return what came of it, secrets hidden."""
        try:
            found = self._carried_out()
        except DriverError as error:
            found = refused(str(error))
        except httpx.InvalidURL as error:
            found = refused(f"the address is none: {error}. Correct it")
        reason = self._secrets.hidden(found.reason)
        return Outcome(found.done, reason, found.untouched, found.again, found.answered)

    def _carried_out(self) -> Outcome:
        action, timeout = self._action, httpx.Timeout(self._action.answer_within_s, connect=CONNECT_S)
        with httpx.Client(timeout=timeout) as client:
            kept = self._kept()
            if kept is None:
                answer = self._called(client)
                if isinstance(answer, Outcome):
                    return answer
                if action.poll is None:
                    return DONE
                location = str(answer.url.join(answer.headers["location"])) if "location" in answer.headers else ""
                kept = {"text": answer.text[:ANSWER_CHARACTERS], "location": location}
                self._keep(kept)
            return DONE if action.poll is None else self._ended(client, action.poll, kept)

    def _headers(self, request: Request) -> dict[str, str]:
        values = {name: filled(value, self._target) for name, value in request.headers.items()}
        return {name: revealed(value, self._environment) for name, value in values.items()}

    def _called(self, client: httpx.Client) -> httpx.Response | Outcome:
        """Return the answer to the call, or why there is none that is good."""
        action = self._action
        url = address(action.url, self._target, self._environment)
        headers = {"Idempotency-Key": self._call.key} | self._headers(action)
        content = None if action.body is None else everywhere(action.body, self._target, self._environment)
        if action.json_body is not None:
            content = json.dumps(everywhere(action.json_body, self._target, self._environment))
            headers.setdefault("Content-Type", "application/json")
        what = f"{action.method} {filled(action.url, self._target)}"
        try:
            answer = client.request(action.method, url, headers=headers, content=content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            remedy = "See that the interface runs and is reached from here"
            return refused(f"{what} cannot connect: {_words(error)}. {remedy}", again=True)
        except httpx.TimeoutException:
            remedy = "Look whether it has begun, or raise answer_within_s"
            return failed(f"{what} had no answer within {action.answer_within_s:g} s. {remedy}", answered=False)
        except httpx.HTTPError as error:
            remedy = "Look there whether it has begun"
            return failed(f"{what} broke before its answer: {_words(error)}. {remedy}", answered=False)
        if answer.is_success:
            return answer
        said = self._secrets.last_words(answer.text)
        reason = f"{what} was answered with {answer.status_code} and: {said}. Look at its log"
        if 300 <= answer.status_code < 500:
            return refused(reason, again=answer.status_code in PASSING)
        return failed(reason)

    def _ended(self, client: httpx.Client, polling: Polling, kept: Mapping[str, str]) -> Outcome:
        """Return how the job ended, asking until it has; a question without an answer is asked again."""
        url = self._status_address(address(polling.url, self._target, self._environment), kept)
        shown = self._status_address(filled(polling.url, self._target), kept)
        if isinstance(url, Outcome):
            return url
        what, said = f"GET {shown}", "nothing"
        headers = self._headers(polling)
        while True:
            try:
                answer = client.get(url, headers=headers)
            except httpx.HTTPError as error:
                said = _words(error)
            else:
                outcome, said = _verdict(polling, answer, what, self._secrets)
                if outcome is not None:
                    return outcome
            if time.time() + polling.every_s > self._call.until_wall_s:
                return failed(f"{what} did not say in time that the job has ended, at last: {said}. Look at the job")
            time.sleep(polling.every_s)

    def _status_address(self, url: str, kept: Mapping[str, str]) -> str | Outcome:
        """Return an address with what the call's answer says in it, or why that cannot be."""
        wrong = "Correct poll.url"
        if url.startswith(LOCATION):
            if not kept["location"]:
                return failed(f"the call's answer has no Location, which poll.url names. {wrong}", again=False)
            if _origin(kept["location"]) != _origin(address(self._action.url, self._target, self._environment)):
                return failed(f"the call's answer leads to another server: {kept['location']}. {wrong}", again=False)
            url = kept["location"] + url.removeprefix(LOCATION)
        try:
            data = json.loads(kept["text"])
        except ValueError:
            data = None
        try:
            return ANSWER_FIELD.sub(lambda field: quote(as_text(at(data, field[1])), safe=""), url)
        except KeyError as error:
            said = self._secrets.last_words(kept["text"])
            fact = f"the call's answer has no field {error.args[0]}, which poll.url names, but: {said}"
            return failed(f"{fact}. {wrong}", again=False)

    def _kept(self) -> dict[str, str] | None:
        """Return the answer to this call that another process had, None: there is none."""
        try:
            found = json.loads(Path(self._call.answer_file).read_bytes())
            return found["answer"] if found["key"] == self._call.key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, answer: Mapping[str, str]) -> None:
        content = json.dumps({"key": self._call.key, "answer": answer}).encode()
        try:
            write_file(Path(self._call.answer_file), content)
        except OutputError:
            return  # the job is watched all the same


def _origin(url: str) -> tuple[str, str, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


def _verdict(polling: Polling, answer: httpx.Response, what: str, secrets: Secrets) -> tuple[Outcome | None, str]:
    """Return how the job ended by an answer, None: it goes on, or the answer does not say; and what that was."""
    said = f"{answer.status_code} and: {secrets.last_words(answer.text)}"
    if answer.status_code in JOB_GONE:
        return failed(f"{what} was answered with {said}. The job is not there any more; look what became of it"), said
    if polling.field is None:
        ended = answer.status_code in (200, 204)
        wrong = 400 <= answer.status_code < 500 and answer.status_code not in PASSING
        return (DONE if ended else failed(f"{what} was answered with {said}. Look at the job") if wrong else None), said
    if not answer.is_success:
        return None, said
    try:
        data = answer.json()
        status = as_text(at(data, polling.field))
    except (ValueError, KeyError):
        return None, f"no field {polling.field} in {secrets.last_words(answer.text)}"
    if status in polling.done:
        return DONE, status
    if status not in polling.failed:
        return None, status
    return failed(
        f"{what} says that the job is {status}: {_message(polling, data, answer, secrets)}. Look at the job"
    ), status


def _message(polling: Polling, data: Any, answer: httpx.Response, secrets: Secrets) -> str:  # noqa: ANN401  (JSON)
    try:
        return (
            secrets.last_words(as_text(at(data, polling.message)))
            if polling.message
            else secrets.last_words(answer.text)
        )
    except KeyError:
        return secrets.last_words(answer.text)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def main(path: str) -> int:
    """Carry out the call in a file and print what came of it; the exit code is 0 whatever that is."""
    call = Call(**json.loads(Path(path).read_bytes()))
    sys.stdout.write(json.dumps(asdict(Caller(call, os.environ).outcome())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
