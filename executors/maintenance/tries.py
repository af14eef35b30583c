"""A try of each kind of action: what is started for it, and what its ending says."""

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from typing import Final

from slacktide.errors import DriverError
from slacktide.executors.maintenance import playbooks
from slacktide.executors.maintenance.action import (
    ACTION,
    AnsibleAction,
    CommandAction,
    HttpAction,
)
from slacktide.executors.maintenance.filling import Secrets, Target, filled
from slacktide.executors.maintenance.notes import Ending, HostNotes, Note
from slacktide.executors.maintenance.outcome import DONE, Outcome, failed, refused
from slacktide.executors.maintenance.starting import Prepared

GRACE_S: Final = 10.0
"""Between asking a try that took too long to end, and making it; an HTTP try ends by itself before."""


@dataclass(frozen=True, slots=True)
class Try:
    """One try at one host."""

    action: CommandAction | HttpAction | AnsibleAction
    target: Target
    until_wall_s: float
    """When to stop waiting for a job, in seconds since 1970."""

    def prepared(self, note: Note, notes: HostNotes) -> Prepared | Outcome:
        """Return what is to be started, or why nothing can be."""
        try:
            return self._prepared(note, notes)
        except DriverError as error:
            return refused(str(error))

    def _prepared(self, note: Note, notes: HostNotes) -> Prepared | Outcome:
        match self.action:
            case CommandAction(command=command):
                words = [filled(word, self.target) for word in command]
                if shutil.which(words[0]) is None:
                    return refused(f"there is no program {words[0]} where the agent runs. Install it there")
                return Prepared(words, self._environment())
            case AnsibleAction() as action:
                found = playbooks.prepared(action, self.target, os.environ, notes.handed)
                return (
                    found
                    if isinstance(found, Outcome)
                    else Prepared(found.words, {**self._environment(), **found.environment}, found.handed)
                )
            case HttpAction() as action:
                given = {
                    "action": ACTION.dump_python(action, mode="json", by_alias=True),
                    "host": self.target.host,
                    "patch_level": self.target.patch_level,
                    "key": call_key(note),
                    "until_wall_s": self._until(note),
                    "answer_file": str(notes.answer),
                }
                words = [sys.executable, "-m", "slacktide.executors.maintenance.calling", str(notes.handed)]
                return Prepared(words, {}, json.dumps(given).encode())

    def _environment(self) -> dict[str, str]:
        return {"SLACKTIDE_HOST": self.target.host, "SLACKTIDE_PATCH_LEVEL": self.target.patch_level}

    def stop_wall_s(self, note: Note) -> float | None:
        """Return when a try is to be stopped, in seconds since 1970; None: it is left alone."""
        if isinstance(self.action, HttpAction):
            return self._until(note) + GRACE_S
        return None if self.action.timeout_s is None else note.began_wall_s + self.action.timeout_s

    def _until(self, note: Note) -> float:
        timeout_s = self.action.timeout_s
        return self.until_wall_s if timeout_s is None else note.began_wall_s + timeout_s

    def outcome(self, note: Note, ending: Ending) -> Outcome:
        """Return what came of a try that has ended, secrets hidden."""
        secrets = Secrets(ACTION.dump_python(self.action, mode="json", by_alias=True), os.environ)
        found = self._stopped() if note.stopped and ending.code else self._outcome(ending, secrets)
        return replace(found, reason=secrets.hidden(found.reason))

    def _stopped(self) -> Outcome:
        limit = "the campaign waits for the host" if self.action.timeout_s is None else f"{self.action.timeout_s:g} s"
        return failed(f"{self.name} took longer than {limit} and was stopped. Look how far it got, or raise timeout_s")

    @property
    def name(self) -> str:
        """What the action is called in messages."""
        match self.action:
            case CommandAction(command=command):
                return command[0]
            case AnsibleAction(playbook=playbook):
                return f"{playbooks.PROGRAM} {playbook}"
            case HttpAction(method=method, url=url):
                return f"{method} {filled(url, self.target)}"

    def _outcome(self, ending: Ending, secrets: Secrets) -> Outcome:
        match self.action:
            case AnsibleAction() as action:
                return playbooks.outcome(action, self.target, ending, secrets)
            case HttpAction():
                return _told(ending, self.name, secrets)
            case CommandAction(untouched_codes=untouched_codes):
                if ending.code == 0:
                    return DONE
                reason = f"{self.name} ended with {ending.code} and said: {secrets.last_words(ending.said)}"
                again = ending.code in untouched_codes
                return refused(reason, again=True) if again else failed(reason)


def call_key(note: Note) -> str:
    """Return by what the interface knows a call again that is repeated."""
    return f"{note.key}-{note.call}"


def _told(ending: Ending, name: str, secrets: Secrets) -> Outcome:
    """Return the outcome that a process of :mod:`slacktide.executors.maintenance.calling` printed."""
    lines = ending.said.splitlines()
    try:
        return Outcome(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        said = secrets.last_words(ending.said)
        fact = f"{name}: its process ended with {ending.code} and said: {said}"
        return failed(f"{fact}. Look at the host and the interface: what was done is not known", answered=False)
