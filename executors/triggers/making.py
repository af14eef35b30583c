"""From a trigger that has its turn to a campaign that is carried out: step by step, each done once.

What is there is asked of the directory, the lock in it and the store, never remembered: a watcher that was killed at
any moment goes on where the one before stood.  A directory holds the fleet, the policy and the plan that a campaign
began with, the campaign, and what its commands said.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from slacktide.datasets.files import read_snapshot, write_snapshot
from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.campaign_file import holds_campaign, kept_in
from slacktide.executors.detached import begin, is_running, last_words
from slacktide.executors.readable import duration
from slacktide.executors.report import read_summary
from slacktide.executors.store.address import Store
from slacktide.executors.store.milestones import Milestones, milestones
from slacktide.executors.triggers.settings import OUTPUT, Triggers
from slacktide.executors.triggers.terms import base_policy, due_hosts, not_due, policy_of, without_sick
from slacktide.executors.triggers.trigger import State, Step, Trigger, step
from slacktide.planner.plan import Plan
from slacktide.planner.plan_files import first_gate, read_plan
from slacktide.planner.policy_files import write_policy

MOST_TRIES: Final = 3
"""How often a step is tried that fails, before its trigger has failed: hosts that were busy answer by then."""
RETRY_S: Final = 5.0
"""Pause before the second try, doubled before each further one."""
MOST_RETRY_S: Final = 300.0
MOST_NARROWED: Final = 3
"""How often a plan is made for fewer hosts, since it did not fit into its window, before the window is given up."""
FLEET, POLICY, PLAN, CAMPAIGN, READ = "fleet", "policy.yaml", "plan", "campaign", "read"

Noted = Callable[[Step], Trigger | None]
"""Writes a change of a trigger down before what it announces is done; null: the trigger is another by now."""


class Place(NamedTuple):
    """Where a watcher works."""

    store: Store
    folder: Path
    """Of the file of triggers: commands run in it."""
    program: tuple[str, ...]
    """How `slacktide` is called."""
    environment: Mapping[str, str]
    """Of the commands that are begun."""


class Maker:
    """Takes triggers' campaigns further."""

    def __init__(self, triggers: Triggers, place: Place) -> None:
        self._triggers, self._place = triggers, place

    def directory(self, trigger: Trigger) -> Path:
        """Return where a trigger's present campaign is."""
        assert trigger.course.directory is not None
        return self._triggers.campaigns / trigger.course.directory

    def take(self, trigger: Trigger, sick: Collection[str], now: datetime, noted: Noted) -> Step | None:
        """Take a trigger one step further and return what has become of it; None: nothing new.

        Raises
        ------
        SlacktideError
            If a step cannot be done now; it is tried again.
        """
        directory = self.directory(trigger)
        if trigger.course.launched and not directory.is_dir():
            fact = f"the campaign of {trigger.words} was begun in a directory of campaigns that is not here"
            raise ExecutionError(str(directory), fact, "Share that directory, or copy it")
        if is_running(directory):
            return self._looked_at(trigger, directory) if trigger.course.launched else None
        if trigger.course.launched:
            return self._looked_at(trigger, directory) or self._run(trigger, directory, now, noted)
        if (directory / PLAN).is_dir():
            return self._fitted(trigger, read_plan(directory / PLAN), now)
        directory.mkdir(parents=True, exist_ok=True)
        fleet = self._triggers.fleet
        if fleet.command is not None and not (directory / READ).is_dir():
            command = [word.replace(OUTPUT, str(directory / READ)) for word in fleet.command]
            return self._tried(trigger, directory, READ, command, now, noted)
        return self._planned(trigger, directory, sick, now, noted)

    # The fleet and the plan

    def _planned(
        self, trigger: Trigger, directory: Path, sick: Collection[str], now: datetime, noted: Noted
    ) -> Step | None:
        """Begin to plan for what is due; return what becomes of a trigger of which nothing is."""
        if _has_failed(trigger, PLAN):
            return step(trigger, f"no plan: {last_words(directory)}", state=State.FAILED)
        if _is_pausing(trigger, PLAN, now):
            return None
        others = [host for host in sick if host != trigger.asked.host]
        source = self._triggers.fleet.directory or directory / READ
        snapshot = without_sick(read_snapshot(source), others)
        excluded = base_policy(self._triggers, trigger, snapshot).selection.exclude
        hosts = [host for host in due_hosts(trigger, snapshot, others) if host not in excluded]
        if trigger.asked.host is not None and not hosts:
            why = f"the fleet has no host {trigger.asked.host}, or the policy excludes it"
            return step(trigger, why, state=State.REFUSED)
        if not hosts:
            return step(trigger, not_due(trigger, snapshot), state=State.DONE)
        policy = policy_of(self._triggers, trigger, snapshot, hosts, now)
        write_snapshot(snapshot, directory / FLEET)
        write_policy(policy, directory / POLICY)
        limits = self._triggers.plan
        limit_s = limits.alert_time_limit_s if trigger.kind == "alert" else limits.time_limit_s
        command = [*self._place.program, "plan", str(directory / FLEET), "--policy", str(directory / POLICY)]
        command += ["-o", str(directory / PLAN), "--time-limit", f"{limit_s:g}", "--workers", str(limits.workers)]
        return self._tried(trigger, directory, PLAN, command, now, noted)

    def _fitted(self, trigger: Trigger, plan: Plan, now: datetime) -> Step:
        """Return what becomes of a trigger whose plan is there: it is launched, or kept to what fits."""
        if plan.hosts.is_empty():
            reasons = plan.deferred.group_by("reason").len().sort("len", descending=True).rows()
            told = ", ".join(f"{count:,} {reason}" for reason, count in reasons) or "no host is planned"
            why = f"no host can be patched: {told}; `slacktide explain` says more"
            return step(trigger, why, state=State.FAILED)
        broken = [each for each in plan.header.summary.audit.findings if each.get("severity") == "error"]
        if broken:
            return step(trigger, f"its plan breaks a rule: {broken[0].get('message')}", state=State.FAILED)
        makespan_s = int(plan.header.summary.makespan_s)
        until = trigger.course.until
        if until is None or now + timedelta(seconds=makespan_s) <= until:
            hosts = plan.hosts.height
            note = f"{hosts:,} host{'s' if hosts > 1 else ''} within {duration(makespan_s)}"
            return step(trigger, note, launched=True, plan_s=makespan_s)
        return self._narrowed(trigger, plan, int((until - now).total_seconds()))

    def _narrowed(self, trigger: Trigger, plan: Plan, left_s: int) -> Step:
        """Return a trigger whose next plan is for the hosts alone that are back before its window ends."""
        hosts = plan.hosts.sort("return_s")
        fit = hosts.filter(pl.col("return_s") <= left_s)["host_id"].to_list()
        left = sorted({*trigger.course.left, *hosts.filter(pl.col("return_s") > left_s)["host_id"].to_list()})
        if not fit or trigger.course.narrowed >= MOST_NARROWED:
            why = f"nothing fits into what is left of its window, {duration(left_s)}"
            everything = tuple(sorted({*left, *fit}))
            return step(trigger, why, state=State.WAITS, not_before=trigger.course.until, only=everything, left=())
        attempt = trigger.course.attempt + 1
        return step(
            trigger,
            f"{len(fit):,} hosts fit into its window, {len(left):,} wait for the next",
            attempt=attempt,
            directory=f"{trigger.number:06d}-{attempt}",
            only=tuple(sorted(fit)),
            left=tuple(left),
            narrowed=trigger.course.narrowed + 1,
            step="",
            not_before=None,
        )

    # The campaign

    def _run(self, trigger: Trigger, directory: Path, now: datetime, noted: Noted) -> Step | None:
        """Begin or resume the campaign; return what becomes of a trigger whose campaign cannot begin."""
        endless = holds_campaign(directory / CAMPAIGN)
        return self._tried(trigger, directory, CAMPAIGN, self._run_command(directory), now, noted, endless=endless)

    def _run_command(self, directory: Path) -> list[str]:
        run = self._triggers.run
        command = [*self._place.program, "run", str(directory / FLEET), str(directory / PLAN)]
        command += ["-o", str(directory / CAMPAIGN), "--driver", run.driver]
        live = run.driver == "libvirt"
        options = [
            ("--connections", run.connections),
            ("--health", run.health),
            ("--on-drift", run.on_drift),
            ("--speed", run.speed),
            ("--maintenance", run.maintenance if live else None),
            ("--patch-command", run.patch_command if live else None),
        ]
        for option, value in options:
            command += [] if value is None else [option, str(value)]
        for path in run.shared_path:
            command += ["--shared-path", path]
        command += [] if run.ray else ["--no-ray"]
        return command + ([] if live else ["--ask-for-approval"])

    def _looked_at(self, trigger: Trigger, directory: Path) -> Step | None:
        """Return what has become of a campaign; None: nothing new, or it is not there yet."""
        kept = kept_in(directory / CAMPAIGN, self._place.store)
        if kept is None or kept.campaign is None:
            return None
        found = milestones(self._place.store, kept.campaign)
        if found.finished:
            return None if is_running(directory) else self._ended(trigger, directory, found)
        asks = first_gate(directory / PLAN) == "approval" and not found.opened
        state = State.APPROVAL if asks else State.RUNS
        if trigger.state is state and trigger.course.campaign_id == kept.campaign:
            return None
        note = (
            f"waits for approval: slacktide campaign approve {directory / CAMPAIGN}"
            if asks
            else f"its campaign runs: {directory / CAMPAIGN}"
        )
        return step(trigger, note, state=state, campaign_id=str(kept.campaign))

    def _ended(self, trigger: Trigger, directory: Path, found: Milestones) -> Step:
        """Return what becomes of a trigger whose campaign has finished."""
        if trigger.course.ending is not None:
            return step(trigger, trigger.detail, state=trigger.course.ending, ending=None)
        campaign = found.stored.record.campaign_id
        try:
            summary = read_summary(directory / CAMPAIGN)
            outcome = f"{summary.hosts.get('returned', 0):,} of {sum(summary.hosts.values()):,} hosts have returned"
            if trigger.asked.host is not None:
                emptied = bool(summary.hosts.get("evacuated"))
                outcome = "the host is evacuated" if emptied else "the host could not be emptied; its report says why"
                if not emptied and not found.aborted:
                    return step(trigger, outcome, state=State.FAILED, campaign_id=campaign)
        except SlacktideError:
            outcome = "its report is not there"
        note = f"its campaign was aborted: {outcome}" if found.aborted else outcome
        if trigger.course.left and not found.aborted:
            hosts = f"{note}; {len(trigger.course.left):,} hosts wait for the next window"
            left, until = trigger.course.left, trigger.course.until
            return step(trigger, hosts, state=State.WAITS, only=left, left=(), not_before=until, campaign_id=campaign)
        return step(trigger, note, state=State.DONE, campaign_id=campaign)

    def _tried(
        self,
        trigger: Trigger,
        directory: Path,
        name: str,
        command: Sequence[str],
        now: datetime,
        noted: Noted,
        *,
        endless: bool = False,
    ) -> Step | None:
        """Begin the command of a step, once it is written down that this try is made; or give the step up.

        ``endless``: it is tried for as long as it takes, since hosts are out meanwhile.
        """
        if _is_pausing(trigger, name, now):
            return None
        if _has_failed(trigger, name) and not endless:
            what = {READ: "the fleet could not be read", CAMPAIGN: "its campaign could not begin"}.get(name, "no plan")
            return step(trigger, f"{what}: {last_words(directory)}", state=State.FAILED)
        tries = trigger.course.tries + 1 if trigger.course.step == name else 1
        again = now + timedelta(seconds=min(RETRY_S * 2 ** min(tries - 1, 10), MOST_RETRY_S))
        if noted(step(trigger, step=name, tries=tries, not_before=again)) is not None:
            begin(directory, command, self._place.environment, self._place.folder)
        return None


def _is_pausing(trigger: Trigger, name: str, now: datetime) -> bool:
    """Return whether a step has failed so recently that it is not tried again yet."""
    course = trigger.course
    return course.step == name and course.not_before is not None and now < course.not_before


def _has_failed(trigger: Trigger, name: str) -> bool:
    return trigger.course.step == name and trigger.course.tries >= MOST_TRIES


def campaign_of(triggers: Triggers, trigger: Trigger) -> Path | None:
    """Return the directory of a trigger's campaign; None: it has none, or has yet to begin."""
    if trigger.course.directory is None:
        return None
    directory = triggers.campaigns / trigger.course.directory / CAMPAIGN
    return directory if holds_campaign(directory) else None
