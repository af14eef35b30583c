"""``slacktide urgent``: these hosts patched by then, in one call to a server."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from slacktide.service.afar.terms import USUAL, TermsGiven
from slacktide.service.commands.options import HERE, Afar, AsJson, Count, FleetPath, PathOption, Seed, duration_s
from slacktide.service.planning import PresetName


def urgent(
    path: FleetPath,
    /,
    *,
    within: Annotated[int | None, Parameter(converter=duration_s, accepts_keys=False)] = None,
    host: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True, show_default=False)] = (),
    every_host: Annotated[bool, Parameter(negative="")] = False,
    preset: PresetName | None = None,
    policy: PathOption = None,
    time_limit: Annotated[float | None, Parameter(validator=Number(gte=0))] = 5.0,
    seed: Seed = 0,
    on_approval: Annotated[bool, Parameter(negative="")] = False,
    profile: str | None = None,
    on_drift: Literal["revise", "ask", "ignore"] | None = None,
    health: Path | None = None,
    speed: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    agents: Count | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    detach: Annotated[bool, Parameter(negative="")] = False,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Have a server patch hosts by a time: it plans, audits the plan and carries it out; this follows as `run` does.

    On this machine that is `slacktide plan` and `slacktide run`.

    Parameters
    ----------
    within
        By when everything is to be done, from now on, such as 4h; a plan that ends later is made all the same.
        [default: the policy's `deadline_s`]
    host
        Ids of the hosts that are to be patched. [default: those that are due]
    every_host
        Patch every host, due or not.
    preset
        A ready policy, urgent or routine; not together with --policy. [default: urgent]
    policy
        YAML or JSON file.
    time_limit
        Seconds that the search may take beyond the first plan.
    seed
        Decides the random choices of the search.
    on_approval
        Let the campaign wait until somebody starts it: `slacktide campaign start`.
    profile
        The server's name for the real hosts that it is carried out on. [default: simulated hosts]
    on_drift
        As for `slacktide run`.
    health
        YAML or JSON file of budgets that pause the campaign.
    speed
        Simulated seconds for each second. [default: as fast as it goes]
    agents
        Agent processes.
    output
        Directory for the report. [default: none; its figures are printed]
    detach
        Leave the campaign to the server at once, as Ctrl-C does later.
    """
    from slacktide.errors import UsageError
    from slacktide.service.afar.running import RunWanted, UrgentWanted, urgent_there
    from slacktide.service.commands.plan import terms

    if host and every_host:
        raise UsageError("--host and --every-host", "contradict each other", "Give one of them")
    own = None if policy is None else terms(preset, policy)
    wanted = UrgentWanted(
        hosts=list(host) or ("all" if every_host else "due"),
        within_s=within,
        preset=preset,
        policy=own,
        time_limit_s=time_limit,
        seed=seed,
        on_approval=on_approval,
    )
    simulated = {**USUAL, "speed": speed}
    given = TermsGiven("simulated", profile, simulated, on_drift, health, agents)
    return urgent_there(afar, path, wanted, RunWanted(given.as_asked(), output, detach), as_json=as_json)
