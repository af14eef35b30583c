"""Campaigns from asking to carrying out: proposed, wanted, started and started again where their process has ended."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from slacktide import atomic
from slacktide.errors import ExecutionError, InputError, OutputError, SlacktideError, StoreError, UsageError
from slacktide.executors.beginning import Decision, deciding
from slacktide.executors.campaign_file import holds_campaign
from slacktide.executors.detached import is_running, last_words
from slacktide.executors.store.campaigns import FINISHED, RESTORED, StoredCampaign, list_campaigns
from slacktide.service.campaign_terms import CampaignTerms, Profile, driver_settings, run_options
from slacktide.service.campaign_view import waits_for_release
from slacktide.service.kept_files import refuse_damaged_fleet, refuse_damaged_plan
from slacktide.service.launching import CampaignLaunch
from slacktide.service.places import Places
from slacktide.service.store.database import Database, now_utc
from slacktide.service.store.runs import (
    Run,
    RunState,
    add_run,
    change_run,
    claim_due,
    run_of_job,
    take_back_run,
    want_run,
)

if TYPE_CHECKING:
    from slacktide.planner.plan import Plan

LOOK_S: Final = 2.0
"""How often wanted campaigns that are due are looked for."""
HELD_LOOK_S: Final = 20.0
"""When one that is carried out is looked at again: a lease lasts 15 s."""
PAUSE_S: Final = 5.0
"""Before one whose process has ended is started again; twice as long after each that came to nothing."""
MOST_PAUSE_S: Final = 90.0
MOST_STARTS: Final = 8
"""Starts in a row that come to nothing before a campaign counts as failed."""
WAITS_FOR_RELEASE: Final = (
    "it came back from a backup, and what was done on its hosts since is not in its journal; "
    "see `slacktide store release`"
)
RELEASED: Final = "it came back from a backup, and has been released since"
_NO_PROFILES: Final = "It has none; whoever runs the server writes them in its configuration: `profiles`"

Launch = Callable[[CampaignLaunch], None]


@dataclass(frozen=True, slots=True)
class Campaigning:
    """What it takes to have campaigns carried out."""

    places: Places
    database: Database
    profiles: Mapping[str, Profile]
    launch: Launch
    ray_address: str | None = None
    """Cluster on which campaigns are carried out; null: simulated ones without Ray, those of a profile as it says."""

    def propose(
        self, plan: "Plan", fleet_id: str, terms: CampaignTerms, by: str, *, start: bool, job_id: str | None = None
    ) -> tuple[Run, bool]:
        """Note a campaign that carries a plan out, and return it and whether it is new.

        Parameters
        ----------
        start
            It begins now.
        job_id
            The job that asks.  One that is begun again, since it fell silent, is given the campaign that it asked for
            before, whatever plan it has made this time.

        Raises
        ------
        UsageError
            If there is no such profile.
        InputError
            If the plan's audit found an error, it patches no host, or the profile's files are not right.
        ExecutionError
            If it is to begin, and another is carried out on the same hosts.
        """
        from slacktide.executors.campaign_directory import campaign_id

        _refuse_unfit(plan)
        profile = self._profile(terms)
        if profile is not None and profile.health is not None and terms.budgets is not None:
            fact = "has signals and budgets of its own"
            raise UsageError(f"profile {terms.profile}", fact, "Leave budgets out")
        settings = driver_settings(terms, profile, plan)
        name, asked = campaign_id(plan, settings), terms.model_dump(mode="json")
        before = None if job_id is None else run_of_job(self.database, job_id)
        if before is not None:
            return before, False
        state: RunState = "wanted" if start else "proposed"
        look_at = now_utc() if start else None
        made = Run(name, fleet_id, plan.header.id, now_utc(), by, asked, state, look_at, 0, None, job_id, terms.profile)
        if add_run(self.database, made):
            return made, True
        return (None if job_id is None else run_of_job(self.database, job_id)) or made, False

    def look(self) -> None:
        """See to it that every wanted campaign that is due is carried out; other replicas do the same beside."""
        due = claim_due(self.database, HELD_LOOK_S)
        if not due:
            return
        stored = {str(each.record.campaign_id): each for each in list_campaigns(self.database.store)}
        for run in due:
            try:
                self._look_at(run, stored.get(run.campaign_id))
            except StoreError:
                raise
            except SlacktideError as error:
                # One that cannot be begun now keeps no other from it; it is looked at again.
                said = "{}: {}. {}".format(*error.said_to_others()) if error.of_store else str(error)
                change_run(self.database, run.campaign_id, if_wanted=True, said=said)

    def _look_at(self, run: Run, stored: StoredCampaign | None) -> None:
        if stored is not None and stored.state == FINISHED:
            self._look_at_finished(run, stored)
        elif stored is not None and stored.state == RESTORED:
            change_run(
                self.database,
                run.campaign_id,
                if_wanted=True,
                state="failed",
                said=WAITS_FOR_RELEASE,
                next_look_at=None,
            )
        elif stored is not None and stored.is_held:
            change_run(
                self.database, run.campaign_id, if_wanted=True, starts=0, said=None, next_look_at=now_utc(HELD_LOOK_S)
            )
        elif is_running(self.places.run(run.campaign_id)):
            change_run(self.database, run.campaign_id, if_wanted=True, next_look_at=now_utc(HELD_LOOK_S))
        else:
            self._start(run)

    def _look_at_finished(self, run: Run, stored: StoredCampaign) -> None:
        """See to it that there is a report: the campaign's process writes it after the last event, if it still can."""
        if has_report(self.places.campaign(run.campaign_id)):
            change_run(self.database, run.campaign_id, state="ended", next_look_at=None)
        elif stored.is_held or is_running(self.places.run(run.campaign_id)):
            change_run(self.database, run.campaign_id, next_look_at=now_utc(PAUSE_S))
        else:
            self._start(run)

    def start(self, run: Run, stored: StoredCampaign | None) -> None:
        """Have a campaign be carried out that waits for its start, was taken back, or whose process ended every time.

        Raises
        ------
        ExecutionError
            If it is none of these; if it waits for its release; if another is carried out on its hosts.
        """
        _refuse_restored(stored)
        with self._deciding(run) as decision:
            if not want_run(self.database, run.campaign_id):
                raise ExecutionError(
                    f"campaign {run.campaign_id}", f"is {run.state} already", "Look at where it stands"
                )
            if decision is not None:
                decision.let_begin()
        self.look()

    def take_back(self, run: Run, said: str) -> bool:
        """Have a campaign that has not begun not be carried out, and return whether: not where it has begun by now.

        A process that is about to begin it finds that, and ends; nothing has been done on any host then.
        """
        with self._deciding(run) as decision:
            if decision is None:
                return False
            decision.take_back(said)
            try:
                take_back_run(self.database, run.campaign_id, said)
            except StoreError:
                decision.let_begin()
                raise
        return True

    @contextmanager
    def _deciding(self, run: Run) -> Iterator[Decision | None]:
        """Decide in the block whether a campaign may begin, which it does not meanwhile; None: it has begun."""
        directory = self.places.campaign(run.campaign_id)
        if holds_campaign(directory):
            yield None
            return
        with deciding(directory) as decision:
            yield None if holds_campaign(directory) else decision

    def take_over(self, run: Run, stored: StoredCampaign | None) -> None:
        """Take a campaign from a coordinator that still holds it, on whatever machine; that one can do nothing more.

        Raises
        ------
        ExecutionError
            If its process is one of this machine's, and has not ended; if it waits for its release; if another is
            carried out on its hosts.
        OutputError
            If no other can be started.
        """
        _refuse_restored(stored)
        if is_running(self.places.run(run.campaign_id)):
            fact = "is carried out by a process of this server, which has not ended"
            raise ExecutionError(f"campaign {run.campaign_id}", fact, "Pause it, or end that process on the server")
        want_run(self.database, run.campaign_id, get_args(RunState), HELD_LOOK_S)
        try:
            self._start(run._replace(starts=0), ["--take-over"])
        except SlacktideError:
            before = {name: getattr(run, name) for name in ("state", "next_look_at", "starts", "said")}
            change_run(self.database, run.campaign_id, **before)
            raise

    def _start(self, run: Run, more: Sequence[str] = ()) -> None:
        folder = self.places.run(run.campaign_id)
        said = self._told(last_words(folder)) if run.starts else None
        if run.starts >= MOST_STARTS:
            change_run(self.database, run.campaign_id, if_wanted=True, state="failed", said=said, next_look_at=None)
            return
        refuse_damaged_fleet(self.places.fleet(run.fleet_id))
        refuse_damaged_plan(self.places.plan(run.plan_id))
        terms = CampaignTerms.model_validate(run.asked)
        profile = self._profile(terms)
        health = None if profile is None else profile.health
        _make(folder)
        with self._deciding(run):
            pass  # what decides it is there from now on, for the process and for whoever takes the campaign back
        if terms.budgets is not None:
            health = folder / "health.json"
            atomic.write_file(health, json.dumps({"budgets": terms.budgets.model_dump(mode="json")}).encode())
        self.launch(
            CampaignLaunch(
                fleet=self.places.fleet(run.fleet_id),
                plan=self.places.plan(run.plan_id),
                directory=self.places.campaign(run.campaign_id),
                log_folder=folder,
                store=self.database.store,
                options=[*run_options(terms, profile, health, on_cluster=self.ray_address is not None), *more],
                ray_address=self.ray_address,
            )
        )
        wait_s = min(MOST_PAUSE_S, PAUSE_S * 2**run.starts)
        known = {"starts": run.starts + 1, "said": said, "next_look_at": now_utc(wait_s)}
        change_run(self.database, run.campaign_id, if_wanted=True, **known)

    def _told(self, words: str) -> str:
        """Return what a process said last as others may hear it: of the store neither where it is nor what it says."""
        before, address, after = words.partition(self.database.store.shown)
        return f"{before}store:{after.removeprefix(':').partition(':')[0]}" if address else words

    def profile(self, name: str) -> Profile:
        """Return a profile of real hosts.

        Raises
        ------
        UsageError
            If there is none of this name.
        """
        if name not in self.profiles:
            fact = "the server has no such profile of real hosts"
            known = f"Name one that it has: {', '.join(sorted(self.profiles))}" if self.profiles else _NO_PROFILES
            raise UsageError(f"profile {name}", fact, known)
        return self.profiles[name]

    def _profile(self, terms: CampaignTerms) -> Profile | None:
        return None if terms.profile is None else self.profile(terms.profile)


def said_of(run: Run, stored: StoredCampaign | None) -> str | None:
    """Return what keeps a campaign from being carried out, as it is now: what it waited for may have come since."""
    waits = stored is not None and stored.state == RESTORED
    return RELEASED if run.said == WAITS_FOR_RELEASE and not waits else run.said


def has_report(directory: Path) -> bool:
    """Return whether the report of a campaign is whole in its directory: figures, tables and page."""
    from slacktide.executors.report import PAGE_FILE
    from slacktide.executors.report_again import is_gone

    return (directory / PAGE_FILE).is_file() and not is_gone(directory)


def _refuse_restored(stored: StoredCampaign | None) -> None:
    if stored is not None and stored.state == RESTORED:
        raise waits_for_release(stored)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(folder), fact, "Free some space, or see to its permissions") from error


def _refuse_unfit(plan: "Plan") -> None:
    summary = plan.header.summary
    broken = [finding for finding in summary.audit.findings if finding.get("severity") == "error"]
    if broken:
        fact = f"breaks the rules in {len(broken)} places and is not executed"
        raise InputError(f"plan {plan.header.id}", fact, "Plan again; its audit lists everything")
    if plan.hosts.is_empty():
        fact = f"patches no host: {plan.deferred.height:,} due hosts are deferred"
        raise InputError(f"plan {plan.header.id}", fact, "Do what its deferred hosts' remedies say, and plan again")
