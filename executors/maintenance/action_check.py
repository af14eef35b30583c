"""What an action needs where it is carried out: programs, variables, and hosts that it can name."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from slacktide.executors.maintenance import playbooks
from slacktide.executors.maintenance.action import ACTION, AnsibleAction, CommandAction, MaintenanceAction, NoAction
from slacktide.executors.maintenance.filling import last_words, referred
from slacktide.findings import Finding
from slacktide.ids import HostId

ANSIBLE_S: Final = 120.0
"""How long Ansible may take to read a playbook or an inventory; one that asks a cloud takes some ten seconds."""
NAMED: Final = 5
"""Hosts that a finding names."""


def action_findings(action: MaintenanceAction, file: str, hosts: Sequence[HostId] = ()) -> tuple[Finding, ...]:
    """Return what keeps an action from being carried out from this machine, as errors, and what is hardly meant.

    Parameters
    ----------
    hosts
        Those that it is for; of none nothing is said.
    """
    found = [*_variables(action, file), *_programs(action, file), *_checks(action, file)]
    if isinstance(action, AnsibleAction):
        found += [*_nameable(hosts, file), *_readable(action, file, hosts)]
    return tuple(found)


def _variables(action: MaintenanceAction, file: str) -> Iterator[Finding]:
    for name in referred(ACTION.dump_python(action, mode="json", by_alias=True)):
        if name not in os.environ:
            fact = f"environment variable {name} is not set on this machine"
            yield Finding(
                "maintenance-variable", fact, f"Set {name} for `slacktide run`, and where agents run", file=file
            )


def _programs(action: MaintenanceAction, file: str) -> Iterator[Finding]:
    commands = [action.command] if isinstance(action, CommandAction) else []
    commands += [check.command for check in action.verify if check.kind in ("command", "patch_level") and check.command]
    for name in sorted({words[0] for words in commands}):
        if "{" not in name and shutil.which(name) is None:
            fact = f"there is no program {name} on this machine"
            yield Finding("maintenance-program", fact, "Install it, or correct its name", file=file)
    if isinstance(action, AnsibleAction) and playbooks.program() is None:
        fact = f"there is no program {playbooks.PROGRAM} on this machine"
        yield Finding("maintenance-program", fact, "Install Ansible where agents run, or put it on the path", file=file)


def _checks(action: MaintenanceAction, file: str) -> Iterator[Finding]:
    if not action.verify and not isinstance(action, NoAction):
        fact = "nothing is verified: a host counts as returned once the action has ended well and its libvirtd answers"
        remedy = "Read the patch level back: `verify: [{kind: patch_level, command: 'ssh {host} ...'}]`"
        yield Finding("maintenance-unverified", fact, remedy, "warning", file=file)


def _nameable(hosts: Sequence[HostId], file: str) -> Iterator[Finding]:
    wrong = [host for host in hosts if not playbooks.NAMEABLE.fullmatch(host)]
    if wrong:
        fact = f"Ansible takes the ids of {len(wrong)} hosts for patterns: {_some(wrong)}"
        yield Finding("maintenance-host", fact, "Use another kind of action for them", file=file)


def _readable(action: AnsibleAction, file: str, hosts: Sequence[HostId]) -> Iterator[Finding]:
    """Have Ansible itself read playbook and inventory."""
    program = playbooks.program()
    if program is None:
        return
    if not os.access(action.playbook, os.R_OK):
        fact = f"the playbook {action.playbook} cannot be read"
        yield Finding(
            "maintenance-playbook", fact, "Correct its path; it is taken from the folder of this file", file=file
        )
        return
    if "{" in (action.inventory or ""):
        return
    inventory = () if action.inventory is None else ("--inventory", action.inventory)
    code, said = _ask(program, *inventory, "--syntax-check", action.playbook)
    if code:
        fact = f"Ansible cannot read {action.playbook}: {last_words(said)}"
        yield Finding("maintenance-playbook", fact, "Correct the playbook", file=file)
        return
    code, said = _ask(str(Path(program).with_name("ansible-inventory")), *inventory, "--list")
    try:
        known = {host for group in json.loads(said).values() for host in group.get("hosts", ())} if code == 0 else None
    except ValueError:
        known = None
    if known is None:
        yield Finding("maintenance-inventory", f"Ansible cannot read it: {last_words(said)}", "Correct it", file=file)
    elif missing := [host for host in hosts if host not in known]:
        fact = f"the inventory lacks {len(missing)} of {len(hosts)} hosts: {_some(missing)}"
        yield Finding("maintenance-inventory", fact, "Add them, by the ids that the fleet has", file=file)


def _ask(*words: str) -> tuple[int, str]:
    environment, quiet = os.environ | playbooks.OUTPUT, subprocess.DEVNULL
    try:
        ended = subprocess.run(
            words, stdin=quiet, capture_output=True, text=True, timeout=ANSIBLE_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return ended.returncode, ended.stdout if ended.returncode == 0 else ended.stderr or ended.stdout


def _some(hosts: Sequence[HostId]) -> str:
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    return f"{', '.join(hosts[:NAMED])}{more}"
