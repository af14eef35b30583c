"""``slacktide policy``: the terms of a campaign."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from slacktide.service.commands.options import AsJson
from slacktide.service.console import document
from slacktide.service.console import show as say
from slacktide.service.failures import OK

PresetName = Literal["urgent", "routine"]

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
def check(path: Annotated[Path, Parameter(name="POLICY")], /, *, as_json: AsJson = False) -> int:
    """Check a policy's file: every field and value, and whether they contradict each other.

    With --json prints the policy, defaults filled in.
    """
    from slacktide.planner.policy_files import read_policy

    read = read_policy(path)
    if as_json:
        document(read.model_dump(mode="json"))
    else:
        say(f"{path}: policy {read.name}, no error")
    return OK
