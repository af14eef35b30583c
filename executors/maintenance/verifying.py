"""Checks after an action: each is repeated until it passes, or has had its time."""

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, assert_never

from slacktide.errors import DriverError
from slacktide.executors.maintenance.action import (
    Check,
    CommandCheck,
    HttpCheck,
    PatchLevelCheck,
    TcpCheck,
)
from slacktide.executors.maintenance.answers import Answer, answer_to, read_json
from slacktide.executors.maintenance.commands import asked
from slacktide.executors.maintenance.filling import (
    Secrets,
    Target,
    address,
    as_text,
    at,
    filled,
    revealed,
)


class Failure(NamedTuple):
    """A check that did not pass."""

    reason: str
    """Which it is, what it said, and what to do."""


def verified(checks: Sequence[Check], target: Target, gone_on: Callable[[], bool] = lambda: True) -> Failure | None:
    """Return the first check that does not pass in its time, None: all have passed, in order.

    ``gone_on``: whether anybody still waits for it.
    """
    for number, check in enumerate(checks, start=1):
        until_s = time.monotonic() + check.within_s
        while (wrong := looked(check, target, os.environ)) is not None:
            waited_for = gone_on()
            if time.monotonic() + check.every_s > until_s or not waited_for:
                which = f"check {number} of {len(checks)}, {name(check, target)}"
                limit = f"within {check.within_s:g} s" if waited_for else "before the campaign gave the host up"
                return Failure(f"{which}, did not pass {limit}: {wrong}. {_remedy(check)}")
            time.sleep(check.every_s)
    return None


def name(check: Check, target: Target) -> str:
    """Return what a check is called in messages."""
    match check:
        case PatchLevelCheck(command=None, url=url):
            return f"patch level at {filled(url or '', target)}"
        case PatchLevelCheck(command=command):
            return f"patch level by {filled(' '.join(command or ()), target)}"
        case CommandCheck(command=command):
            return f"command {filled(' '.join(command), target)}"
        case HttpCheck(url=url):
            return f"answer of {filled(url, target)}"
        case TcpCheck(port=port):
            return f"port {port} of {filled(check.address, target)}"
        case _ as never:
            assert_never(never)


def _remedy(check: Check) -> str:
    if isinstance(check, PatchLevelCheck):
        return "Look whether the patch was applied and the host has rebooted into it"
    return "Look at the host, or give the check more time with within_s"


def looked(check: Check, target: Target, environment: Mapping[str, str]) -> str | None:
    """Return what is wrong now, None: the check passes."""
    secrets = Secrets(check.model_dump(mode="json"), environment)
    try:
        wrong = _looked(check, target, environment, secrets)
    except DriverError as error:
        wrong = str(error)
    return None if wrong is None else secrets.hidden(wrong)


def _looked(check: Check, target: Target, environment: Mapping[str, str], secrets: Secrets) -> str | None:
    match check:
        case PatchLevelCheck():
            return _patch_level(check, target, environment, secrets)
        case CommandCheck(command=command, answer_within_s=limit_s):
            code, said = _run(command, target, limit_s)
            ended = said if code is None else f"it ended with {code} and said: {secrets.last_words(said)}"
            return None if code == 0 else ended
        case HttpCheck(url=url, headers=headers):
            answer = _get(url, headers, check.answer_within_s, target, environment)
            return answer if isinstance(answer, str) else _answer_wrong(check, answer, secrets)
        case TcpCheck(port=port, answer_within_s=limit_s):
            try:
                socket.create_connection((filled(check.address, target), port), timeout=limit_s).close()
            except (OSError, ValueError) as error:  # ValueError: a name that no host can have
                return f"it does not accept a connection: {getattr(error, 'strerror', None) or error}"
            return None
        case _ as never:
            assert_never(never)


def _patch_level(
    check: PatchLevelCheck, target: Target, environment: Mapping[str, str], secrets: Secrets
) -> str | None:
    if check.command is not None:
        code, text = _run(check.command, target, check.answer_within_s)
        if code != 0:
            return text if code is None else f"it ended with {code} and said: {secrets.last_words(text)}"
    else:
        answer = _get(check.url or "", check.headers, check.answer_within_s, target, environment)
        if isinstance(answer, str):
            return answer
        if not answer.is_success:
            return f"it was answered with {answer.code} and: {secrets.answer_words(answer.text)}"
        text = answer.text
    if check.field is not None:
        found = _field(text, check.field)
        if found is None:
            return f"there is no field {check.field} in: {secrets.answer_words(text)}"
        text = found
    level = text.strip()
    if check.match is None:
        fits = level == target.patch_level
    else:
        fits = re.fullmatch(check.match.replace("{patch_level}", re.escape(target.patch_level)), level) is not None
    return None if fits else f"it says {secrets.last_words(level)}, and the policy asks for {target.patch_level}"


def _answer_wrong(check: HttpCheck, answer: Answer, secrets: Secrets) -> str | None:
    if answer.code != check.status:
        return f"it was answered with {answer.code} in place of {check.status} and: {secrets.answer_words(answer.text)}"
    if check.field is None:
        return None
    found = _field(answer.text, check.field)
    if found is None:
        return f"there is no field {check.field} in: {secrets.answer_words(answer.text)}"
    if check.equals is None or found == check.equals:
        return None
    return f"{check.field} is {secrets.last_words(found)} in place of {check.equals}"


def _field(text: str, field: str) -> str | None:
    try:
        return as_text(at(read_json(text), field))
    except (ValueError, KeyError):
        return None


def _run(command: Sequence[str], target: Target, limit_s: float) -> tuple[int | None, str]:
    """Return a command's exit code and what it printed, or what is wrong; no code: it did not end."""
    known = {"SLACKTIDE_HOST": target.host, "SLACKTIDE_PATCH_LEVEL": target.patch_level}
    ended = asked([filled(word, target) for word in command], known, limit_s)
    if isinstance(ended, str):
        return None, ended
    return ended.code, (ended.out if ended.code == 0 else ended.out + ended.err).strip()


def _get(
    url: str, headers: Mapping[str, str], limit_s: float, target: Target, environment: Mapping[str, str]
) -> Answer | str:
    """Return the answer to a GET, or in words why there is none."""
    sent = {key: revealed(filled(value, target), environment) for key, value in headers.items()}
    return answer_to(address(url, target, environment), sent, limit_s)
