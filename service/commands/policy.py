"""``slacktide policy``: the terms of a campaign."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from slacktide.object_store import AnyPath
from slacktide.service.commands.options import HERE, Afar, AsJson, PathOption, PathOrUrl
from slacktide.service.console import document, findings_text, progress, tell
from slacktide.service.console import show as say
from slacktide.service.failures import OK, REFUSED
from slacktide.service.planning import PresetName
from slacktide.service.words import counted

policy = App(
    name="policy", help="Terms of a campaign: what must hold and what to minimise.", help_epilogue="", sort_key=2
)


@policy.command
def show(*, preset: Annotated[PresetName, Parameter()] = "routine", as_json: AsJson = False) -> int:
    """Print a preset policy as YAML, every field of it: a file to start from.

    Parameters
    ----------
    preset
        urgent: everything patched as soon as it can safely be; routine: as few moves as possible.
    """
    import yaml

    from slacktide.planner.policy import PRESETS

    fields = PRESETS[preset].model_dump(mode="json")
    if as_json:
        document(fields)
    else:
        sys.stdout.write(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))
    return OK


@policy.command
def check(
    path: Annotated[PathOrUrl, Parameter(name="POLICY")],
    /,
    *,
    fleet: PathOption = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Check a policy's file: every field and value, and whether they contradict each other.

    What is allowed and yet hardly meant is a warning, such as limits that let no host out. The exit code is 1 if the
    fleet has no failure domain of a kind that is named. With --json prints the policy, defaults filled in, and
    findings on standard error.

    Parameters
    ----------
    fleet
        Directory of a fleet: are there failure domains of the kinds that the policy names?
    """
    from slacktide.findings import errors_in
    from slacktide.planner.policy_files import read_policy

    read = read_policy(path)
    if afar.named:
        from slacktide.service.afar.questions import policy_findings as found_there

        findings = found_there(afar, read, path.name, fleet)
    else:
        from slacktide.planner.policy_check import policy_findings

        findings = policy_findings(read, path.name, None if fleet is None else _kinds(fleet))
    if findings:
        (tell if as_json else say)(findings_text(findings))
    if as_json:
        document(read.model_dump(mode="json"))
    else:
        errors = len(errors_in(findings))
        counts = f"{counted(errors, 'error') if errors else 'no error'}"
        counts += f", {counted(len(findings) - errors, 'warning')}" if len(findings) > errors else ""
        say(f"{path}: policy {read.name}, {counts}")
    return REFUSED if errors_in(findings) else OK


def _kinds(fleet: AnyPath) -> tuple[str, ...]:
    """Return the kinds of failure domains that a fleet has."""
    from slacktide.datasets.files import read_snapshot

    with progress("Reading the fleet"):
        return tuple(sorted(set(read_snapshot(fleet).domains["kind"])))
