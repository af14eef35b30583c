"""Playbooks of Ansible: how one is run for one host, and what its output says."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from slacktide.executors.maintenance.action import AnsibleAction
from slacktide.executors.maintenance.filling import Secrets, Target, everywhere, filled
from slacktide.executors.maintenance.notes import Ending
from slacktide.executors.maintenance.outcome import DONE, Outcome, failed, refused
from slacktide.executors.maintenance.starting import Prepared

PROGRAM: Final = "ansible-playbook"
NAMEABLE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
"""Ids that stand for themselves in ``--limit``; others are patterns there, which may be other hosts."""
OUTPUT: Final = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "ANSIBLE_CALLBACK_FORMAT_PRETTY": "false",
    "ANSIBLE_DISPLAY_FAILED_STDERR": "false",
    "ANSIBLE_CHECK_MODE_MARKERS": "false",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_RETRY_FILES_ENABLED": "false",
}
"""Has Ansible say what failed in lines that can be read, whatever its configuration."""
_TASK: Final = re.compile(r"(?:RUNNING HANDLER|TASK) \[(.*)\] \**$")
_FATAL: Final = re.compile(r"(?:fatal|failed): \[([^\]]+?)(?: -> [^\]]*)?\].*? => (\{.*)$")
_RECAP: Final = re.compile(r"(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")


def program() -> str | None:
    """Return where the program is: on the path, or beside this Python; None: it is not there."""
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))


def prepared(
    action: AnsibleAction, target: Target, environment: Mapping[str, str], vars_file: Path
) -> Prepared | Outcome:
    """Return what is started for a host, or why nothing can be.

    Raises
    ------
    DriverError
        If a variable of the environment is not set.
    """
    found = program()
    if found is None:
        return refused(f"there is no {PROGRAM} where the agent runs. Install Ansible there, or put it on the path")
    if not NAMEABLE.fullmatch(target.host):
        return refused(f"Ansible takes {target.host} for a pattern of hosts. Use another action for it")
    if not os.access(action.playbook, os.R_OK):
        return refused(f"the playbook {action.playbook} cannot be read where the agent runs. Put it there")
    own = {"slacktide_host": target.host, "slacktide_patch_level": target.patch_level}
    given = everywhere(action.extra_vars, target, environment) | own
    words = [found, "--limit", target.host, "--extra-vars", f"@{vars_file}"]
    if action.inventory is not None:
        words += ["--inventory", filled(action.inventory, target)]
    words += [filled(word, target) for word in action.arguments]
    return Prepared((*words, action.playbook), OUTPUT, json.dumps(given).encode())


class _Run(NamedTuple):
    """What a run's output says of one host."""

    began: bool
    """Whether any task was begun."""
    recap: tuple[int, int, int, int] | None
    """Tasks that were ok, changed something, could not reach the host, failed; null: no play was for it."""
    failure: str | None
    """The failing task, and its message."""


def outcome(action: AnsibleAction, target: Target, ending: Ending, secrets: Secrets) -> Outcome:
    """Return what came of a run."""
    run = _read(ending.said, target.host, secrets)
    what = f"{PROGRAM} {Path(action.playbook).name}"
    if ending.code == 0 and run.recap is not None:
        return DONE
    if ending.code == 0:
        return refused(f"{what} has no play for {target.host}. Correct the playbook's hosts, or the inventory")
    if run.failure is None:
        reason = f"{what} ended with {ending.code} and said: {_error(ending.said, secrets)}. Correct what it names"
        return failed(reason) if run.began else refused(reason)
    reason = f"{what} ended with {ending.code}: {run.failure}. Look at the host, and at this task"
    ok, changed, unreachable, _ = run.recap or (0, 0, 0, 0)
    return refused(reason, again=True) if unreachable and not ok and not changed else failed(reason)


def _read(said: str, host: str, secrets: Secrets) -> _Run:
    task, began, failure, recap = "", False, None, None
    for line in said.splitlines():
        if found := _TASK.match(line):
            task, began = found[1], True
        elif (found := _FATAL.match(line)) and found[1] == host:
            failure = f"task {task or 'without a name'}: {_message(found[2], secrets)}"
        elif line.startswith("...ignoring"):
            failure = None
        elif (found := _RECAP.match(line)) and found[1] == host:
            recap = int(found[2]), int(found[3]), int(found[4]), int(found[5])
    return _Run(began, recap, failure)


def _message(text: str, secrets: Secrets) -> str:
    """Return what a task's result gives as the reason, with the last words of what its command said."""
    try:
        result = json.loads(text)
    except ValueError:
        return secrets.last_words(text)
    parts = [str(result.get(name, "")) for name in ("msg", "reason", "stderr", "module_stderr")]
    if not any(parts):
        parts = [str(result.get("censored", "")), str(result.get("stdout", ""))]
    return secrets.last_words("; ".join(part.strip() for part in parts if part.strip()))


def _error(said: str, secrets: Secrets) -> str:
    """Return what Ansible itself complains of, else the end of what it said."""
    errors = [line.partition("]: ")[2] for line in said.splitlines() if line.startswith("[ERROR]: ")]
    return secrets.last_words("; ".join(errors)) if errors else secrets.last_words(said)
