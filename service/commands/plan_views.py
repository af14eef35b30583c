"""``slacktide audit`` and ``explain``: whether one can trust a plan, and what limits it."""

from pathlib import Path
from typing import TYPE_CHECKING

from slacktide.object_store import AnyPath
from slacktide.service.commands.options import HERE, Afar, AsJson, FleetPath, PlanPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, findings_text, progress, show
from slacktide.service.failures import INTERRUPTED, OK, REFUSED
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.audit import AuditReport
    from slacktide.planner.explanation import Explanation
    from slacktide.planner.plan import Plan


def audit(path: FleetPath, plan_path: PlanPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Replay a plan against its fleet, with no code in common with the planner, and list what breaks a rule.

    The exit code is 1 if a finding is an error; warnings alone give 0.
    """
    plan_id, found = _audited(afar, path, plan_path)
    if as_json:
        document(found.as_dict())
    else:
        if found.findings:
            show(findings_text(found.findings))
        for note in found.notes:
            show(note)
        warnings = len(found.findings) - len(found.errors)
        outcome = f"{counted(len(found.errors), 'error')}, {counted(warnings, 'warning')}"
        show(f"Plan {plan_id}: {counted(len(found.checked_rules), 'rule')} checked, {outcome}")
    return REFUSED if found.errors else OK


def _audited(afar: Afar, path: AnyPath, plan_path: AnyPath) -> "tuple[str, AuditReport]":
    """Return the id of a plan and what its audit finds."""
    if afar.named:
        from slacktide.service.afar.questions import audited

        return audited(afar, path, plan_path)
    with progress("Auditing the plan"):
        from slacktide.planner.audit import audit as replay

        snapshot, made = read_both(path, plan_path)
        return made.header.id, replay(snapshot, made)


def explain(
    path: FleetPath,
    plan_path: PlanPath,
    /,
    *,
    plans: Path | None = None,
    afar: Afar = HERE,
    as_json: AsJson = False,
) -> int:
    """Say what limits a plan, why hosts are deferred, and what each relaxation would buy.

    Figures are those of bounds, which takes no time. With --plans every relaxation is planned for real, as by
    `slacktide what-if`, and --json prints both: the explanation, and beneath `what_if` what the plans say.

    Parameters
    ----------
    plans
        Directory to write the plans behind the figures to.
    """
    from slacktide.service.commands.what_if import check_output
    from slacktide.service.destinations import WHAT_IF_FILES

    if plans is not None:
        check_output(plans, WHAT_IF_FILES, path)
    if afar.named:
        return _explained_there(afar, path, plan_path, plans, as_json=as_json)
    with progress("Explaining the plan"):
        from slacktide.planner.explanation import explain as explained

        snapshot, made = read_both(path, plan_path)
        explanation = explained(snapshot, made)
    if plans is not None:
        return _with_plans(explanation, snapshot, made, plans, as_json=as_json)
    if as_json:
        document(explanation.as_dict())
    else:
        show(explanation.text())
    return OK


def _explained_there(afar: Afar, path: AnyPath, plan_path: AnyPath, plans: Path | None, *, as_json: bool) -> int:
    from slacktide.service.afar.questions import explained

    said, text = explained(afar, path, plan_path)
    if not as_json:
        show(text)
    if plans is None:
        if as_json:
            document(said)
        return OK
    from slacktide.service.afar.reaching import explained_with_plans
    from slacktide.service.commands.what_if import show_what_if

    found, interrupted = explained_with_plans(afar, path, plan_path, plans)
    if as_json:
        document({**said, "what_if": None if found is None else found.as_dict()})
    elif found is not None:
        show_what_if(found, plans)
    return INTERRUPTED if interrupted else OK


def _with_plans(
    explanation: "Explanation", snapshot: "FleetSnapshot", made: "Plan", output: Path, *, as_json: bool
) -> int:
    from slacktide.planner.reach import TRIES
    from slacktide.service.commands.what_if import answered, show_what_if
    from slacktide.service.what_if_run import Question, case_of

    policy = made.header.policy
    question = Question(policy.deadline_s, (), None, TRIES, made.header.seed, 1)
    if not as_json:
        show(explanation.text())
    found, interrupted = answered(case_of(snapshot, policy), question, output, made)
    if as_json:
        document({**explanation.as_dict(), "what_if": None if found is None else found.as_dict()})
    elif found is not None:
        show_what_if(found, output)
    return INTERRUPTED if interrupted else OK
