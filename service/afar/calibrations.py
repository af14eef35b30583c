"""``slacktide calibrate`` on a server: what its campaigns on real hosts have taught."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from slacktide.service.afar.objects import campaign_there
from slacktide.service.afar.plans import policy_body
from slacktide.service.client.jobs import done, result_of
from slacktide.service.commands.options import Afar

if TYPE_CHECKING:
    from slacktide.planner.policy import Policy


class LearntThere(NamedTuple):
    """What was learnt."""

    policy: "Policy"
    document: dict[str, Any]
    text: str


def calibrated_there(afar: Afar, paths: Sequence[Path], policy: "Policy | None", caution: float) -> LearntThere:
    """Return what campaigns of a server's have taught about migrations, and a policy with that."""
    from slacktide.planner.policy import Policy

    asked = {"campaign_ids": [campaign_there(path) for path in paths], "policy": policy_body(policy)}
    with afar.api() as api:
        result = result_of(done(api, "/v1/calibrations", asked | {"caution": caution}, "Learning from campaigns"))
    return LearntThere(Policy.model_validate(result["policy"]), result["learnt"], str(result["text"]))
