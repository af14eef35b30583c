"""``slacktide what-if`` and ``pareto``: what must give, what it buys, and what can be had at all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from slacktide.errors import UsageError
from slacktide.object_store import AnyPath
from slacktide.service.ahead import load_planner
from slacktide.service.commands.options import (
    HERE,
    Afar,
    AsJson,
    Count,
    FleetPath,
    Output,
    PathOption,
    Seed,
    Whole,
    duration_s,
)
from slacktide.service.commands.plan import fitted_preset, terms
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.destinations import PARETO_FILES, WHAT_IF_FILES, check_directory, refuse_to_replace
from slacktide.service.failures import INTERRUPTED, OK, REFUSED
from slacktide.service.interrupts import remembered_interrupts
from slacktide.service.planning import PresetName

if TYPE_CHECKING:
    from slacktide.planner.loosening import Case
    from slacktide.planner.plan import Plan
    from slacktide.service.front_run import FoundFront
    from slacktide.service.what_if_run import Question, WhatIf

ByOption = Annotated[int | None, Parameter(name="--by", converter=duration_s, accepts_keys=False)]
TimeLimit = Annotated[float | None, Parameter(validator=Number(gte=0))]
Deadline = Annotated[Whole, Parameter(validator=Number(gte=1))]


def read_case(path: AnyPath, preset: PresetName | None, policy: AnyPath | None) -> "Case":
    """Return the fleet at ``path`` under the policy that is asked for."""
    load_planner()
    chosen = terms(preset, policy)
    with progress("Reading the fleet"):
        from slacktide.datasets.files import read_snapshot
        from slacktide.service.what_if_run import case_of

        snapshot = read_snapshot(path)
        return case_of(snapshot, chosen if policy is not None else fitted_preset(chosen, snapshot))


def asked(
    by_s: int | None,
    limits: tuple[str, ...],
    time_limit_s: float | None,
    iterations: int | None,
    seed: int,
    workers: int,
) -> "Question":
    """Return what is asked."""
    from slacktide.service.what_if_run import Question

    return Question(by_s, limits, time_limit_s, iterations, seed, workers)


def what_if(
    path: FleetPath,
    /,
    *,
    output: Output,
    preset: PresetName | None = None,
    policy: PathOption = None,
    by: ByOption = None,
    deadline: Deadline | None = None,
    relax: tuple[str, ...] = (),
    time_limit: TimeLimit = None,
    iterations: Count | None = None,
    seed: Seed = 0,
    workers: Count = 1,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Say which limits have to give for everything to be done by a time, and what each limit buys.

    Every figure has an audited plan behind it, in the folder `plans` of the output, beside what the bound promises.
    Ctrl-C, or the time limit, ends the work with the table as far as it is; of the limits that had no turn it says what
    bounds promise, which takes no plan. The exit code is 1 if nothing can be planned.

    Parameters
    ----------
    output
        Directory to write; an older what-if that is there is replaced.
    preset
        A ready policy, urgent or routine; not together with --policy. [default: routine]
    policy
        YAML or JSON file.
    by
        Everything is to be done by then, such as 4h or 3h30min. [default: the policy's `deadline_s`]
    deadline
        The same in seconds; not together with --by.
    relax
        Limits that may be loosened, such as max_out.rack or reserve.share; repeat it for more. [default: all]
    time_limit
        Seconds that the work may take; a plan that has begun is finished.
    iterations
        Tries for each plan. [default: 4, and for the present plan as many as `plan` makes]
    seed
        Decides the random choices of the searches.
    workers
        Processors to search with.
    """
    check_output(output, WHAT_IF_FILES, path)
    if by is not None and deadline is not None:
        raise UsageError("--by and --deadline", "say the same twice", "Give one of them")
    by_s = by if by is not None else deadline
    question = asked(by_s, relax, time_limit, iterations, seed, workers)
    if afar.named:
        from slacktide.service.afar.reaching import what_if_there

        own = None if policy is None else terms(preset, policy)
        found, interrupted = what_if_there(afar, path, preset, own, question, output)
    else:
        case = read_case(path, preset, policy)
        by_s = by_s if by_s is not None else case.problem.policy.deadline_s
        found, interrupted = answered(case, replace(question, by_s=by_s), output)
    if found is None:
        return INTERRUPTED
    if as_json:
        document(found.as_dict())
    else:
        show_what_if(found, output)
    if interrupted:
        tell("interrupted: this is what was known until then")
        return INTERRUPTED
    return OK if found.present.hosts or not found.present.deferred else REFUSED


def answered(
    case: "Case", question: "Question", output: Path, present: "Plan | None" = None
) -> "tuple[WhatIf | None, bool]":
    """Return what was found and written, None: nothing; and whether there was an interrupt."""
    from slacktide import atomic
    from slacktide.planner.reach import TRIES, Effort
    from slacktide.service.what_if_run import PLANS, ask, chosen_levers, plan_keeper, time_is_over, write_what_if

    among = chosen_levers(case, question.limits)
    with remembered_interrupts() as interruption:
        try:
            with atomic.staged_directory(output, WHAT_IF_FILES) as folder, progress("What if") as told:
                over = time_is_over(question.time_limit_s, lambda: interruption.happened)
                keep = plan_keeper(folder / PLANS)
                effort = Effort(question.tries or TRIES, question.seed, question.workers, over, keep=keep)
                found = ask(case, question, among, effort, told, present)
                found.interrupted = interruption.happened
                write_what_if(found, folder)
        except KeyboardInterrupt:
            tell("interrupted before there was an audited plan; nothing is written")
            return None, True
        return found, interruption.happened


def pareto(
    path: FleetPath,
    /,
    *,
    output: Output,
    preset: PresetName | None = None,
    policy: PathOption = None,
    points: Annotated[int, Parameter(validator=Number(gte=2, lte=100))] = 8,
    time_limit: TimeLimit = None,
    iterations: Count | None = None,
    seed: Seed = 0,
    workers: Count = 1,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Plan under many limits on hosts out; list the plans that none beats in makespan, moves and hosts out at once.

    Writes the front as a table (JSON, Parquet, CSV) and a picture (PNG, SVG), with the audited plans in the folder
    `plans`. Ctrl-C, or the time limit, ends the work with the front of the plans until then. The exit code is 1 if
    nothing can be planned.

    Parameters
    ----------
    output
        Directory to write; an older front that is there is replaced.
    preset
        A ready policy, urgent or routine; not together with --policy. [default: routine]
    policy
        YAML or JSON file.
    points
        Limits on hosts out that are tried.
    time_limit
        Seconds that the work may take; a plan that has begun is finished.
    iterations
        Tries for each plan. [default: 4]
    seed
        Decides the random choices of the searches.
    workers
        Processors to search with.
    """
    check_output(output, PARETO_FILES, path)
    question = asked(None, (), time_limit, iterations, seed, workers)
    if afar.named:
        from slacktide.service.afar.reaching import front_there

        own = None if policy is None else terms(preset, policy)
        found, interrupted, any_due = front_there(afar, path, preset, own, question, points, output)
        if found is None:
            return INTERRUPTED
        return _show_front(found, output, interrupted=interrupted, any_due=any_due, as_json=as_json)
    case = read_case(path, preset, policy)
    return _fronted(case, question, points, output, as_json=as_json)


def _fronted(case: "Case", question: "Question", points: int, output: Path, *, as_json: bool) -> int:
    from slacktide import atomic
    from slacktide.service.front_run import found_front, write_front

    with (
        remembered_interrupts() as interruption,
        atomic.staged_directory(output, PARETO_FILES) as folder,
        progress("Pareto front") as told,
    ):
        found = found_front(case, question, points, folder, told, lambda: interruption.happened)
        write_front(found, folder)
    any_due = bool(case.problem.selected.any())
    return _show_front(found, output, interrupted=interruption.happened, any_due=any_due, as_json=as_json)


def _show_front(found: "FoundFront", output: Path, *, interrupted: bool, any_due: bool, as_json: bool) -> int:
    from slacktide.service.front_run import front_document
    from slacktide.service.what_if_text import front_rows

    if as_json:
        document(front_document(found))
    else:
        show(f"{len(found.front)} of {len(found.points)} plans are on the front; * the present limit on hosts out")
        if found.front:
            show(figures(front_rows(found.front)))
        elif not found.not_planned:
            show("no plan patches a host; `slacktide plan` says why, and `slacktide what-if` what would have to give")
        show(figures([("front", str(output))]))
    if interrupted:
        tell("interrupted: this is the front of the plans until then")
        return INTERRUPTED
    return OK if found.points or not any_due else REFUSED


def show_what_if(found: "WhatIf", output: Path) -> None:
    """Print what was found, for people."""
    from slacktide.service.what_if_text import (
        ABOVE_PROMISE,
        above_promise,
        conflict_lines,
        deadline_lines,
        ended_words,
        promised_rows,
        promised_title,
        purchase_rows,
        what_if_title,
    )
    from slacktide.service.words import plain

    show(what_if_title(found))
    if found.ended_by is not None:
        show(ended_words(found.ended_by, interrupted=found.interrupted))
    if found.deadline is not None:
        show(plain("\n".join(deadline_lines(found.deadline, interrupted=found.interrupted))))
    if found.conflict is not None:
        show(plain("\n".join(conflict_lines(found.conflict))))
    if found.purchases:
        show(figures(purchase_rows(found.purchases)))
    if any(any(above_promise(one)) for one in found.purchases):
        show(ABOVE_PROMISE)
    if found.not_planned:
        show(plain(promised_title(found)))
    if found.promised:
        show(figures(promised_rows(found.promised)))
    show(figures([("what-if", str(output))]))


def check_output(output: Path, files: Sequence[str], fleet: AnyPath) -> None:
    """Check that the output is new or an older one of the same kind, known by its JSON, and not within the fleet."""
    check_directory(output, files if (output / files[0]).is_file() else ())
    refuse_to_replace(output, fleet)
