"""Options and arguments that several commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token
from cyclopts.validators import Number


def _whole(_kind: type, tokens: Sequence[Token]) -> int:
    """Return a whole number, where the default conversion would cut decimals off."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'"{text}" is no whole number.') from None


AsJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print the result as one JSON document.")
]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]
FleetPath = Annotated[Path, Parameter(name="FLEET", help="Directory of a fleet snapshot.")]
PlanPath = Annotated[Path, Parameter(name="PLAN", help="Directory of a plan.")]
CampaignPath = Annotated[Path, Parameter(name="CAMPAIGN", help="Directory of a campaign.")]
Whole = Annotated[int, Parameter(converter=_whole)]
Seed = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0, lt=2**63))]
Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
PerMille = Annotated[float, Parameter(validator=Number(gte=0, lte=1000))]
Amount = Annotated[int, Parameter(converter=_whole, validator=Number(gte=0))]
Count = Annotated[int, Parameter(converter=_whole, validator=Number(gte=1))]
