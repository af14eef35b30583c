"""Checks after an action: each is repeated until it passes, or has had its time."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, assert_never

from slacktide.errors import DriverError
from slacktide.executors.maintenance.action import (
    Check,
    CommandCheck,
    HttpCheck,
    PatchLevelCheck,
    TcpCheck,
)
from slacktide.executors.maintenance.filling import (
    Target,
    address,
    answer_words,
    as_text,
    at,
    filled,
    hidden,
    last_words,
    referred,
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
    try:
        wrong = _looked(check, target, environment)
    except DriverError as error:
        wrong = str(error)
    return None if wrong is None else hidden(wrong, referred(check.model_dump(mode="json")), environment)


def _looked(check: Check, target: Target, environment: Mapping[str, str]) -> str | None:
    match check:
        case PatchLevelCheck():
            return _patch_level(check, target, environment)
        case CommandCheck(command=command, answer_within_s=limit_s):
            code, said = _run(command, target, limit_s)
            ended = said if code is None else f"it ended with {code} and said: {last_words(said)}"
            return None if code == 0 else ended
        case HttpCheck(url=url, headers=headers):
            answer = _get(url, headers, check.answer_within_s, target, environment)
            return answer if isinstance(answer, str) else _answer_wrong(check, answer)
        case TcpCheck(port=port, answer_within_s=limit_s):
            try:
                socket.create_connection((filled(check.address, target), port), timeout=limit_s).close()
            except OSError as error:
                return f"it does not accept a connection: {error.strerror or error}"
            return None
        case _ as never:
            assert_never(never)


def _patch_level(check: PatchLevelCheck, target: Target, environment: Mapping[str, str]) -> str | None:
    if check.command is not None:
        code, text = _run(check.command, target, check.answer_within_s)
        if code != 0:
            return text if code is None else f"it ended with {code} and said: {last_words(text)}"
    else:
        answer = _get(check.url or "", check.headers, check.answer_within_s, target, environment)
        if isinstance(answer, str):
            return answer
        if not answer.is_success:
            return f"it was answered with {answer.status_code} and: {answer_words(answer.text)}"
        text = answer.text
    if check.field is not None:
        found = _field(text, check.field)
        if found is None:
            return f"there is no field {check.field} in: {answer_words(text)}"
        text = found
    level = text.strip()
    if check.match is None:
        fits = level == target.patch_level
    else:
        fits = re.fullmatch(check.match.replace("{patch_level}", re.escape(target.patch_level)), level) is not None
    return None if fits else f"it says {last_words(level)}, and the policy asks for {target.patch_level}"


def _answer_wrong(check: HttpCheck, answer: Any) -> str | None:  # noqa: ANN401  (httpx is imported when it is needed)
    if answer.status_code != check.status:
        return f"it was answered with {answer.status_code} in place of {check.status} and: {answer_words(answer.text)}"
    if check.field is None:
        return None
    found = _field(answer.text, check.field)
    if found is None:
        return f"there is no field {check.field} in: {answer_words(answer.text)}"
    if check.equals is None or found == check.equals:
        return None
    return f"{check.field} is {last_words(found)} in place of {check.equals}"


def _field(text: str, field: str) -> str | None:
    try:
        return as_text(at(json.loads(text), field))
    except (ValueError, KeyError):
        return None


def _run(command: Sequence[str], target: Target, limit_s: float) -> tuple[int | None, str]:
    """Return a command's exit code and what it printed, or what is wrong; no code: it did not end."""
    words = [filled(word, target) for word in command]
    if shutil.which(words[0]) is None:
        return None, f"there is no program {words[0]} where the agent runs"
    known = {"SLACKTIDE_HOST": target.host, "SLACKTIDE_PATCH_LEVEL": target.patch_level}
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | known,
        start_new_session=True,
    ) as running:
        try:
            out, err = running.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            return None, f"it did not end within {limit_s:g} s"
    good = running.returncode == 0
    return running.returncode, (out if good else out + err).decode("utf-8", errors="replace").strip()


def _get(url: str, headers: Mapping[str, str], limit_s: float, target: Target, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  (httpx is imported when it is needed)
    """Return the answer to a GET, or in words why there is none."""
    import httpx

    sent = {key: revealed(filled(value, target), environment) for key, value in headers.items()}
    try:
        return httpx.get(address(url, target, environment), headers=sent, timeout=limit_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"there is no answer: {' '.join(str(error).split()) or type(error).__name__}"
