"""``slacktide audit`` and ``explain``: whether one can trust a plan, and what limits it."""

from pathlib import Path
from typing import TYPE_CHECKING

from slacktide.service.commands.options import AsJson, FleetPath, PlanPath
from slacktide.service.commands.plan import read_both
from slacktide.service.console import document, findings_text, progress, show
from slacktide.service.failures import INTERRUPTED, OK, REFUSED
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.planner.explanation import Explanation
    from slacktide.planner.plan import Plan


def audit(path: FleetPath, plan_path: PlanPath, /, *, as_json: AsJson = False) -> int:
    """Replay a plan against its fleet, with no code in common with the planner, and list what breaks a rule.

    The exit code is 1 if a finding is an error; warnings alone give 0.
    """
    with progress("Auditing the plan"):
        from slacktide.planner.audit import audit as replay

        snapshot, made = read_both(path, plan_path)
        found = replay(snapshot, made)
    if as_json:
        document(found.as_dict())
    else:
        if found.findings:
            show(findings_text(found.findings))
        for note in found.notes:
            show(note)
        warnings = len(found.findings) - len(found.errors)
        outcome = f"{counted(len(found.errors), 'error')}, {counted(warnings, 'warning')}"
        show(f"Plan {made.header.id}: {counted(len(found.checked_rules), 'rule')} checked, {outcome}")
    return REFUSED if found.errors else OK


def explain(path: FleetPath, plan_path: PlanPath, /, *, plans: Path | None = None, as_json: AsJson = False) -> int:
    """Say what limits a plan, why hosts are deferred, and what each relaxation would buy.

    Figures are those of bounds, which takes no time. With --plans every relaxation is planned for real, as by
    `slacktide what-if`, and --json prints both: the explanation, and beneath `what_if` what the plans say.

    Parameters
    ----------
    plans
        Directory to write the plans behind the figures to.
    """
    from slacktide.service.commands.what_if import WHAT_IF_FILES, check_output

    if plans is not None:
        check_output(plans, WHAT_IF_FILES, path)
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
