"""``slacktide plan``: from a fleet and a policy to a plan."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from slacktide.errors import UsageError
from slacktide.object_store import AnyPath
from slacktide.service.ahead import load_planner
from slacktide.service.commands.options import (
    HERE,
    Afar,
    Amount,
    AsJson,
    Count,
    FleetPath,
    OutputOrUrl,
    PathOption,
    Seed,
)
from slacktide.service.console import Told, document, figures, progress, show, tell
from slacktide.service.destinations import check_directory, check_file, refuse_to_replace
from slacktide.service.failures import INTERRUPTED, OK, REFUSED
from slacktide.service.interrupts import remembered_interrupts
from slacktide.service.planning import (
    DEFAULT_PRESET,
    Cells,
    PresetName,
    cell_map_for,
    cell_number,
    evacuating,
    stop_after,
)
from slacktide.service.presets import fitted

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.cell_plans import CellMap
    from slacktide.planner.plan import Plan
    from slacktide.planner.policy import Policy
    from slacktide.planner.stopping import Progress, Stop


def _cells_of(_kind: object, tokens: Sequence[Token]) -> int | str:
    text = tokens[0].value
    if text in ("auto", "off"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f'"{text}" is neither auto nor off nor a number of cells, at least 1.')
    return int(text)


def plan(
    path: FleetPath,
    /,
    *,
    output: OutputOrUrl,
    preset: PresetName | None = None,
    policy: PathOption = None,
    evacuate: Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=True)] = (),
    time_limit: Annotated[float | None, Parameter(validator=Number(gte=0))] = None,
    iterations: Amount | None = None,
    seed: Seed = 0,
    workers: Count = 1,
    cells: Annotated[Cells, Parameter(converter=_cells_of, accepts_keys=False)] = "auto",
    ray: Annotated[bool, Parameter(negative="")] = False,
    html: PathOption = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Plan in which waves hosts are patched, where every VM goes and when.

    Every plan is audited. Without a limit the search ends by itself when it no longer improves; Ctrl-C ends it with the
    best plan so far, once there is one. Hosts that cannot be planned are deferred, with reason and remedy; if that is
    all of them, the exit code is 1. With --json prints the summary of plan.json.

    Parameters
    ----------
    output
        Directory to write, or its URL in an object store; a plan that is there is replaced.
    preset
        A ready policy, urgent or routine; not together with --policy. [default: routine]
    policy
        YAML or JSON file; `slacktide policy show` prints one to start from.
    evacuate
        Ids of hosts that are about to fail: only these are planned, to be emptied at once; none is patched, and they
        stay out. (To patch other hosts in the same plan, name them as `evacuate` in a policy.)
    time_limit
        Seconds that the search may take; the first plan is always finished, and the audit comes on top.
    iterations
        Tries that the search may take; the only limit with which plans repeat byte for byte.
    seed
        Decides the random choices of the search.
    workers
        Processors to search with.
    cells
        Parts along the topology into which the fleet is cut, to be planned apart: a number, off, or auto (with --ray
        about 5,000 hosts each, so none up to 5,000; off without). The plan does not depend on where cells are planned.
    ray
        Plan cells as tasks of Ray: on --workers processors of this machine, or on the cluster at RAY_ADDRESS.
    html
        Also write the plan as a page for people, to this file.
    """
    from slacktide.planner.plan_files import FILE_NAMES

    check_directory(output, FILE_NAMES)
    refuse_to_replace(output, path)
    if html is not None:
        check_file(html)
        if html.resolve() == output.resolve():
            raise UsageError("--html and --output", "are one path", "Give the page one of its own")
    asked = terms(preset, policy)
    if afar.named:
        from slacktide.service.afar.plans import PlanWanted, plan_there

        given = (preset, None if policy is None else asked, evacuate, time_limit, iterations, seed, workers)
        made, interrupted = plan_there(afar, path, PlanWanted(*given, cells_there(cells, ray=ray)), output, html)
        return INTERRUPTED if made is None else shown(made, output, html, interrupted=interrupted, as_json=as_json)
    load_planner()
    with progress("Reading the fleet"):
        from slacktide.datasets.files import read_snapshot

        snapshot = read_snapshot(path)
    asked = asked if policy is not None else fitted_preset(asked, snapshot)
    asked = evacuating(asked, evacuate) if evacuate else asked

    with remembered_interrupts() as interruption:
        try:
            with cell_map_for(workers, ray=ray) as cell_map:
                made = _planned(
                    snapshot,
                    asked,
                    stop_after(time_limit, iterations),
                    seed=seed,
                    workers=workers,
                    cells=cell_number(cells),
                    cell_map=cell_map,
                )
            write(made, snapshot, output, html)
        except KeyboardInterrupt:
            tell("interrupted before there was an audited plan; nothing is written")
            return INTERRUPTED
    return shown(made, output, html, interrupted=interruption.happened, as_json=as_json)


def shown(made: "Plan", output: AnyPath, html: AnyPath | None, *, interrupted: bool, as_json: bool) -> int:
    """Print a plan that was written, and return the exit code."""
    _show(made, output, html, as_json=as_json)
    if interrupted:
        tell("interrupted: this is the best plan until then")
        return INTERRUPTED
    return _exit_code(made)


def read_both(path: AnyPath, plan_path: AnyPath) -> "tuple[FleetSnapshot, Plan]":
    """Return a fleet and its plan, from their directories."""
    from slacktide.datasets.files import read_snapshot
    from slacktide.planner.plan_files import read_plan

    return read_snapshot(path), read_plan(plan_path)


def terms(preset: PresetName | None, path: AnyPath | None) -> "Policy":
    """Return the policy of a command line, from a preset or a file."""
    from slacktide.planner.policy import PRESETS
    from slacktide.planner.policy_files import read_policy

    if path is None:
        return PRESETS[preset or DEFAULT_PRESET]
    if preset is not None:
        raise UsageError("--preset and --policy", "contradict each other", "Give one of them")
    return read_policy(path)


def fitted_preset(preset: "Policy", snapshot: "FleetSnapshot") -> "Policy":
    """Return a preset made to fit the fleet, and say which of its limits do not count for it."""
    policy, missing = fitted(preset, snapshot)
    tell_left_out(missing)
    return policy


def tell_left_out(kinds: "list[str]") -> None:
    """Say of which kinds of failure domain a preset's limits do not count, since the fleet has none."""
    if kinds:
        tell(f"no domains of kind {', '.join(kinds)} in the fleet: the preset's limits for these do not count")


def cells_there(asked: Cells, *, ray: bool) -> Cells:
    """Return what a server is asked for: there cells are tasks of Ray in any case, and auto is none without --ray."""
    return "off" if asked == "auto" and not ray else asked


def _planned(
    snapshot: "FleetSnapshot",
    policy: "Policy",
    stop: "Stop | None",
    *,
    seed: int,
    workers: int,
    cells: int | None = None,
    cell_map: "CellMap | None" = None,
) -> "Plan":
    from slacktide.planner.solve import make_plan

    with progress("Planning") as told:
        return make_plan(
            snapshot,
            policy,
            seed=seed,
            stop=stop,
            workers=workers,
            progress=_teller(told),
            cells=cells,
            cell_map=cell_map,
        )


def _teller(told: Told) -> "Callable[[Progress], None]":
    """Return what passes the planner's progress on to a bar."""
    from slacktide.service.plan_text import progress_words

    return lambda now: told(now.fraction, progress_words(now))


def write(made: "Plan", snapshot: "FleetSnapshot | None", output: AnyPath, html: AnyPath | None) -> None:
    """Write a plan, and the page of it, for which its fleet is needed."""
    from slacktide import atomic
    from slacktide.planner.plan_files import write_plan

    with progress("Writing the plan"):
        write_plan(made, output)
        if html is not None and snapshot is not None:
            from slacktide.executors.report_page import plan_page

            atomic.write_file(html, plan_page(snapshot, made).encode())


def _show(made: "Plan", output: AnyPath, html: AnyPath | None, *, as_json: bool) -> None:
    from slacktide.service.plan_text import deferred_text, plan_rows, plan_title

    if as_json:
        document(made.header.summary.model_dump(mode="json"))
        return
    show(plan_title(made))
    rows = [*plan_rows(made), ("plan", str(output))]
    show(figures(rows if html is None else [*rows, ("page", str(html))]))
    if made.deferred.height:
        show(deferred_text(made))


def _exit_code(made: "Plan") -> int:
    """Return 1 if nothing could be planned, or the audit found an error."""
    summary = made.header.summary
    broken = any(finding.get("severity") == "error" for finding in summary.audit.findings)
    left_alone = not (summary.hosts or summary.evacuated) and made.deferred.height
    return REFUSED if broken or left_alone or _not_evacuated(made) else OK


def _not_evacuated(made: "Plan") -> bool:
    """Return whether a host is left alone that is to be evacuated."""
    return bool(made.deferred["host_id"].is_in(list(made.header.policy.evacuate)).any())
