"""``slacktide maintenance``: what is done to a drained host."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from slacktide.object_store import AnyPath
from slacktide.service.commands.options import AsJson, PathOption
from slacktide.service.console import document, findings_text, progress, tell
from slacktide.service.console import show as say
from slacktide.service.failures import OK, REFUSED
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.ids import HostId

maintenance = App(name="maintenance", help="The action that patches a host, as a file.", help_epilogue="", sort_key=9)


@maintenance.command
def check(
    path: Annotated[Path, Parameter(name="FILE")], /, *, fleet: PathOption = None, as_json: AsJson = False
) -> int:
    """Check the file of a maintenance action: every field, and what it needs on this machine.

    Programs have to be there, environment variables set, a playbook and its inventory readable for Ansible. The exit
    code is 1 if something is not. With --json prints the action, defaults filled in, and findings on standard error.

    Parameters
    ----------
    fleet
        Directory of a fleet: can the action name its hosts, and does Ansible's inventory know them?
    """
    from slacktide.executors.maintenance.action import ACTION
    from slacktide.executors.maintenance.action_check import action_findings
    from slacktide.executors.maintenance.action_files import read_action
    from slacktide.findings import errors_in

    action = read_action(path)
    hosts = () if fleet is None else _hosts(fleet)
    with progress("Looking at what it needs"):
        findings = action_findings(action, path.name, hosts)
    if findings:
        (tell if as_json else say)(findings_text(findings))
    if as_json:
        document(ACTION.dump_python(action, mode="json", by_alias=True))
    else:
        errors = len(errors_in(findings))
        counts = counted(errors, "error") if errors else "no error"
        counts += f", {counted(len(findings) - errors, 'warning')}" if len(findings) > errors else ""
        verified = counted(len(action.verify), "check") if action.verify else "no check"
        say(f"{path}: action {action.kind}, {verified} afterwards, {counts}")
    return REFUSED if errors_in(findings) else OK


def _hosts(fleet: AnyPath) -> "tuple[HostId, ...]":
    from slacktide.datasets.files import read_snapshot
    from slacktide.ids import HostId

    with progress("Reading the fleet"):
        return tuple(map(HostId, read_snapshot(fleet).hosts["host_id"].to_list()))
