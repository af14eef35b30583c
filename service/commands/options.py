"""Options and arguments that several commands share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from slacktide.errors import UsageError
from slacktide.object_store import AnyPath, StoredPath, path_at

if TYPE_CHECKING:
    from slacktide.service.client.api import Api


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


def any_path(_kind: object, tokens: Sequence[Token]) -> AnyPath:
    """Return a path of this machine, or a URL in an object store."""
    return path_at(tokens[0].value)


def _path_here(_kind: object, tokens: Sequence[Token]) -> Path:
    path = path_at(tokens[0].value)
    if isinstance(path, StoredPath):
        raise ValueError(f'"{path}" is a URL, where a path on this machine is needed.')
    return path


AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print the result as one JSON document.")
]
PathOrUrl = Annotated[AnyPath, Parameter(converter=any_path, n_tokens=1, accepts_keys=False)]
PathOption = Annotated[AnyPath | None, Parameter(converter=any_path, n_tokens=1, accepts_keys=False)]
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


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Afar:
    """Options of every command that a server can carry out in place of this machine."""

    server: Annotated[
        str | None,
        Parameter(
            group="Server",
            help="Address of a server that does the work, such as https://slacktide.example; `local`: none. FLEET, "
            "PLAN and CAMPAIGN may then be ids of the server's. [default: SLACKTIDE_SERVER, else this machine does it]",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Parameter(group="Server", help="File of the token. [default: SLACKTIDE_TOKEN, else ~/.config/slacktide/token]"),
    ] = None
    ca_file: Annotated[
        Path | None,
        Parameter(
            group="Server", help="PEM file of certificates to trust. [default: SLACKTIDE_CA_FILE, else this machine's]"
        ),
    ] = None
    wait_for_server: Annotated[
        int | None,
        Parameter(
            group="Server",
            converter=duration_s,
            accepts_keys=False,
            help="How long a server that does not answer is waited for, such as 10min. [default: 10 s at the "
            "beginning, and until Ctrl-C once it has answered]",
        ),
    ] = None

    @property
    def named(self) -> bool:
        """Whether a server is to do the work."""
        from slacktide.service.client.access import server_named

        return server_named(self.server) is not None

    def api(self) -> "Api":
        """Return the server's API.

        Raises
        ------
        UsageError
            If no server is named, or not as it can be asked.
        """
        from slacktide.service.client.access import access_to, server_named
        from slacktide.service.client.api import Api

        url = server_named(self.server)
        if url is None:
            raise UsageError(
                "--server", "is needed: only a server can do this", "Give its address, or SLACKTIDE_SERVER"
            )
        return Api(access_to(url, self.token_file, self.ca_file), self.wait_for_server)

    def refuse_here(self, options: Mapping[str, object], remedy: str) -> None:
        """Refuse options that mean something to one side alone, if one of them is given.

        Raises
        ------
        UsageError
            With the first that is given.
        """
        where = "a server does the work" if self.named else "this machine does the work"
        for option, value in options.items():
            if value:
                raise UsageError(option, f"means nothing where {where}", remedy)


HERE: Final = Afar()
"""No server is named on the command line."""
