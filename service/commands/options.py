"""Options and arguments that several commands share."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from slacktide.object_store import AnyPath, StoredPath, path_at


def _whole(_kind: type, tokens: Sequence[Token]) -> int:
    """Return a whole number, where the default conversion would cut decimals off."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'"{text}" is no whole number.') from None


_UNITS_S = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)min)?(?:(\d+)s)?")


def duration_s(_kind: type, tokens: Sequence[Token]) -> int:
    """Return the seconds of a duration such as ``4h``, ``3h30min`` or ``90min``."""
    text = tokens[0].value
    found = _DURATION.fullmatch(text.replace(" ", ""))
    if found is None or not any(found.groups()):
        raise ValueError(f'"{text}" is no duration such as 4h, 3h30min or 90min.')
    seconds = sum(int(number or 0) * unit for number, unit in zip(found.groups(), _UNITS_S.values(), strict=True))
    if seconds == 0:
        raise ValueError(f'"{text}" is no time at all.')
    return seconds


def moment_s(kind: type, tokens: Sequence[Token]) -> int:
    """Return the seconds of a moment: a whole number of them, or a duration from the origin on."""
    text = tokens[0].value
    if text.strip().isdecimal():
        return int(text)
    try:
        return duration_s(kind, tokens)
    except ValueError:
        raise ValueError(f'"{text}" is neither a whole number of seconds nor a duration such as 1h or 90min.') from None


def _any_path(_kind: object, tokens: Sequence[Token]) -> AnyPath:
    return path_at(tokens[0].value)


def _path_here(_kind: object, tokens: Sequence[Token]) -> Path:
    path = path_at(tokens[0].value)
    if isinstance(path, StoredPath):
        raise ValueError(f'"{path}" is a URL, where a path on this machine is needed.')
    return path


AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print the result as one JSON document.")
]
PathOrUrl = Annotated[AnyPath, Parameter(converter=_any_path, n_tokens=1, accepts_keys=False)]
PathOption = Annotated[AnyPath | None, Parameter(converter=_any_path, n_tokens=1, accepts_keys=False)]
PathHereOption = Annotated[Path | None, Parameter(converter=_path_here)]
PathHere = Annotated[Path, Parameter(converter=_path_here)]
Output = Annotated[PathHere, Parameter(name=["--output", "-o"])]
OutputOrUrl = Annotated[PathOrUrl, Parameter(name=["--output", "-o"])]
FleetPath = Annotated[PathOrUrl, Parameter(name="FLEET", help="Directory of a fleet snapshot, or its URL.")]
PlanPath = Annotated[PathOrUrl, Parameter(name="PLAN", help="Directory of a plan, or its URL.")]
CampaignPath = Annotated[PathHere, Parameter(name="CAMPAIGN", help="Directory of a campaign.")]
StoreUrl = Annotated[
    str | None, Parameter(name="--store", help="URL of the store. [default: SLACKTIDE_STORE, else where it was begun]")
]
Whole = Annotated[int, Parameter(converter=_whole)]
Seed = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lt=2**63))]
Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
PerMille = Annotated[float, Parameter(validator=Number(gte=0, lte=1000))]
Amount = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0))]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
Moment = Annotated[int, Parameter(converter=moment_s, accepts_keys=False)]
