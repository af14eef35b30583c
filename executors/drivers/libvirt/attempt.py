"""One attempt to migrate one VM, from its check to its confirmation; read :meth:`Attempt._run` as the contents.

libvirt's call blocks until the migration is over, so it has a thread of its own, and so has the attempt.  What the
hypervisors tell meanwhile gives the stages their moments.  When the call has ended, however it did, both hypervisors
are asked where the VM is; nothing is concluded from the call alone.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from slacktide.errors import DriverError
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.absence import absence
from slacktide.executors.drivers.libvirt.asking import Answers, ask_both, cards_anywhere, clear, is_torn
from slacktide.executors.drivers.libvirt.calling import Call, statistics_at_target
from slacktide.executors.drivers.libvirt.checking import check_in_fabric, checked
from slacktide.executors.drivers.libvirt.convergence import Ladder
from slacktide.executors.drivers.libvirt.copied_disks import copied_by, discard_files
from slacktide.executors.drivers.libvirt.copying import BYTES_PER_MIB, Copying
from slacktide.executors.drivers.libvirt.errors import lasting, remedy
from slacktide.executors.drivers.libvirt.hypervisors import Heard, Hypervisors
from slacktide.executors.drivers.libvirt.pace import Pace
from slacktide.executors.drivers.libvirt.peers import Peer
from slacktide.executors.drivers.libvirt.requests import asked
from slacktide.executors.drivers.libvirt.restarting import NotStartedError, Restart
from slacktide.executors.drivers.libvirt.stages import Stages
from slacktide.executors.drivers.libvirt.switchover import Switchover
from slacktide.executors.drivers.libvirt.verdict import GuestState, Place, verdict
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.events import Event, Stage
from slacktide.executors.fabrics.protocol import Fabric
from slacktide.executors.probes.probe import Probe
from slacktide.ids import HostId
from slacktide.planner.policy import MigrationRules

if TYPE_CHECKING:
    import libvirt

    from slacktide.executors.preflight.facts import GuestFacts

LOOK_S: Final = 0.1
"""How often a copy is looked at: ten times in the shortest there is."""
ASK_AGAIN_S: Final = 0.5
"""Pause between two questions where a VM is, while a hypervisor does not answer or is not finished."""
CANCEL_S: Final = 15.0
"""How long libvirt's call may go on after it was told to stop; then the hypervisors are asked without waiting for it.
A host whose link is cut holds it until its TCP connections give up."""
TORN_S: Final = 10.0
"""How long the target of a post-copy that has failed by its source's word is asked whether it has all memory after all.
A target in the lab says so, or that it failed too, within three seconds.  One that waits for memory and has nothing to
send says nothing for ever, and neither does libvirt's call end."""
HEARD_S: Final = 0.5
"""How long to wait for word of what ended a guest: events may come after the answer that it is off."""
PROBE_S: Final = 5.0
"""How long a probe waits to see a guest again on its target."""
BEFORE_S: Final = 1.0
"""What a probe looks at before the copy, to know how often it sees the guest."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all attempts of an agent share."""

    hypervisors: Hypervisors
    rules: MigrationRules
    peer: Callable[[HostId], Peer]
    shared_paths: tuple[PurePosixPath, ...]
    """Folders that all hosts see: what lies there is not copied."""
    probe: Probe | None
    now_s: Callable[[], float]
    """Seconds from the campaign's origin."""
    report: Callable[[Event], None]
    fabric: Fabric | None = None
    """What is told where guests are; None: the network finds out by itself."""
    fabric_hosts: frozenset[HostId] | None = None
    """Hosts of which it can be told."""


class Attempt:
    """Carries one request out, in the background."""

    def __init__(self, request: MigrationRequest, around: Surroundings) -> None:
        self.request = request
        self._around = around
        self._stages = Stages(request, around.report)
        self._switchover = Switchover(
            request, around.fabric, lambda: cards_anywhere(around.hypervisors, request), around.now_s, around.report
        )
        self._ladder = Ladder(
            request.strategy,
            request.predicted_brownout_s,
            request.predicted_blackout_ms,
            request.blackout_limit_ms,
            around.rules,
        )
        self._began_s = time.time()
        self._copying = Copying(
            request, self._ladder, Pace(request.bandwidth_mbit_s, around.rules.goodput), around.report
        )
        self._cancelled: str | None = None
        self._cancelled_at = 0.0
        self._probe: Probe | None = None
        """What watches the guest from before its copy on; None: nothing does, or not from the beginning."""
        self._copied: list[str] = []
        """Files of disks that are copied along; none of them was on the target before."""
        self.outcome: Event | None = None
        """How it ended; None: it has not."""

    def begin(self) -> None:
        """Begin it."""
        self._start(self._run)

    def adopt(self, stage: Stage) -> None:
        """Take charge of an attempt that an earlier agent began, which libvirt carries on by itself."""
        self._stages.reached = stage
        self._ladder.switched = stage >= Stage.FORWARDING
        self._start(self._take_up)

    def _start(self, target: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                target()
            except Exception as error:  # a bug of ours must not leave a VM of theirs unwatched
                self._settle(None, f"Slacktide failed, please report it: {error!r}")

        threading.Thread(target=guarded, name=f"migration {self.request.migration_id}", daemon=True).start()

    def hear(self, heard: Heard) -> None:
        """Take note of what a hypervisor told of this VM."""
        self._stages.hear(heard)
        self._switchover.hear(heard)

    def cancel(self, reason: str) -> None:
        """Have it stopped, if the guest has not moved yet."""
        self._cancelled, self._cancelled_at = self._cancelled or reason, time.monotonic()

    def _take_up(self) -> None:
        if self.request.strategy == "restart":
            try:
                self._restart.take_up(was_asked=self._stages.reached >= Stage.RESERVED)
            except NotStartedError as error:
                self._report_lost(str(error))
                return
        if self._stages.reached >= Stage.RESERVED:
            self._copied = copied_by(self._around.hypervisors, self.request, self._around.shared_paths)
        self._switchover.adopt()
        self._settle(None, "the agent that began it ended before it was over")

    @property
    def _restart(self) -> Restart:
        around = self._around

        def reach(stage: Stage) -> None:
            self._stages.reach(stage, around.now_s())

        return Restart(
            self.request, around.hypervisors, around.rules.restart_s, reach, lambda: self._cancelled is not None
        )

    def _run(self) -> None:
        request, live = self.request, self.request.strategy != "restart"
        self._probe = self._around.probe
        if self._probe is not None:
            self._probe.watch(request.vm_id)
        try:
            check_in_fabric(self._around.fabric_hosts, request)
            peer = self._around.peer(request.target)
            domain, guest = checked(self._around.hypervisors, request, self._around.shared_paths, live=live)
            self._stages.reach(Stage.RESERVED, self._around.now_s())
            self._switchover.begin(guest.cards)
            if not live:
                self._stages.off_s = self._restart.carry_out(domain, guest, peer)
        except NotStartedError as error:
            self._report_lost(str(error))
            return
        except DriverError as error:
            self._fail(str(error), retryable=error.retryable)
            return
        if live:
            self._migrate(domain, guest, peer)
        else:
            self._settle(None, None)

    def _migrate(self, domain: "libvirt.virDomain", guest: "GuestFacts", peer: Peer) -> None:
        request = self.request
        self._copied = [disk.source for disk in guest.disks if disk.copied_mib]
        wanted = asked(request, guest, self._ladder, self._copying.pace, encrypted=peer.encrypted)
        call = Call(domain, peer.uri, wanted)
        self._look_after(domain, call)
        self._settle(call.error, call.trouble(request))

    def _look_after(self, domain: "libvirt.virDomain", call: Call) -> None:
        """Return once libvirt's call has ended, or is not worth waiting for any more."""
        while not call.ended.wait(LOOK_S):
            if self._ladder.switched and is_torn(domain):
                return
            if self._cancelled is None:
                self._copying.look(domain, self._around.now_s())
                continue
            self._abort(domain)
            if time.monotonic() > self._cancelled_at + CANCEL_S:
                return

    def _abort(self, domain: "libvirt.virDomain") -> None:
        import libvirt

        try:
            domain.abortJob()
        except libvirt.libvirtError:
            return  # there is no job any more, or the guest has moved: the end of the call says which

    def _settle(self, error: "libvirt.libvirtError | None", why: str | None) -> None:
        """Ask both hypervisors until it is clear where the VM is, leave one copy of it, and report."""
        request = self.request
        answers, place = self._cleared()
        if place is Place.TARGET:
            self._finish()
        elif place is Place.SOURCE:
            again = self._cancelled is None and not (error is not None and lasting(error))
            reason = f"stopped: {self._cancelled}" if self._cancelled else why or "libvirt says that it migrated"
            todo = remedy(error, request.source, request.target)
            text = f"VM {request.vm_id}: {reason}; it runs on {request.source}{f'. {todo}' if todo else ''}"
            discard_files(self._around.hypervisors, request.target, self._copied)
            self._fail(text, retryable=again)
        else:
            self._report_absence(answers, why)

    def _cleared(self) -> tuple[Answers, Place]:
        """Return what both hypervisors say once the VM is in one place and nothing else is left of it, or is lost."""
        request, hypervisors = self.request, self._around.hypervisors
        torn_until_s: float | None = None
        while True:
            answers = ask_both(hypervisors, request.vm_id, request.source, request.target)
            found = verdict(answers.source, answers.target, moved=self._stages.ending.moved)
            if answers.source is GuestState.TORN:
                torn_until_s = torn_until_s or time.monotonic() + TORN_S
                if found.place is Place.MOVING and time.monotonic() > torn_until_s:
                    return answers, Place.NOWHERE
            try:
                if found.place is not Place.MOVING:
                    clear(hypervisors, found, request.vm_id, request.source, request.target)
                    return answers, found.place
                if answers.source is GuestState.MIGRATING:
                    self._watch(hypervisors.connection(request.source))
            except DriverError:
                pass  # it is asked again
            time.sleep(ASK_AGAIN_S)

    def _watch(self, source: "libvirt.virConnect") -> None:
        """Look after a migration whose call is not ours, or ended before it."""
        import libvirt

        try:
            domain = source.lookupByName(self.request.vm_id)
        except libvirt.libvirtError:
            return  # it is over, or the host is lost: the next question says which
        if self._cancelled is None:
            self._copying.look(domain, self._around.now_s())
        else:
            self._abort(domain)

    def _report_absence(self, answers: Answers, why: str | None) -> None:
        """Report a VM that does not run once: ended by itself or somebody, lost, or there twice."""
        request, until_s = self.request, time.monotonic() + HEARD_S
        while self._stages.ending.ended_by is None and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        lost, text = absence(request, answers.source, answers.target, self._stages.ending, why)
        if lost:
            self._report_lost(text)
        else:
            self._fail(text, retryable=False)

    def _report_lost(self, error: str) -> None:
        request, beside = self.request, self._taken_back()
        self._end(events.VmLost(self._around.now_s(), request.migration_id, request.attempt, f"{error}{beside}"))
        self._leave()

    def _taken_back(self) -> str:
        """Have the fabric take back what it was told, unless the guest has moved; return what it could not do."""
        trouble = None if self._stages.ending.moved else self._switchover.stay()
        return f". {trouble}" if trouble else ""

    def _leave(self) -> None:
        """Have the fabric told all the same of a guest that ended after it had moved: it is started again there."""
        if self._stages.ending.moved:
            self._switchover.see_through()

    def _fail(self, error: str, *, retryable: bool) -> None:
        text = f"{error}{self._taken_back()}"
        request, now_s = self.request, self._around.now_s()
        stage = self._stages.last_before_return.name.lower()
        self._end(
            events.MigrationFailed(now_s, request.migration_id, request.attempt, stage, text, retryable=retryable)
        )
        self._leave()

    def _finish(self) -> None:
        """Report a VM that runs on its target and nowhere else, and delete what was copied there from its source."""
        request, probe, stages = self.request, self._probe, self._stages
        statistics = stages.statistics
        if not statistics and stages.off_s is None:
            statistics = statistics_at_target(self._around.hypervisors, request)
        late_ms = stages.forward(statistics, self._around.now_s())
        self._switchover.see_through()
        discard_files(self._around.hypervisors, request.source, self._copied)
        stages.delete_source(self._around.now_s(), at_once=self._around.fabric is None)
        seen = None
        if probe is not None:
            probe.wait(request.vm_id, PROBE_S)
            switched_s = stages.switched_wall_s if self._ladder.switched else None
            seen = probe.read(request.vm_id, self._began_s - BEFORE_S, switched_s, time.time())
        sent = statistics.get("data_processed")
        self._end(
            events.MigrationDone(
                self._around.now_s(),
                request.migration_id,
                request.attempt,
                transfer_mib=None if sent is None else round(sent / BYTES_PER_MIB, 2),
                probe_blackout_ms=None if seen is None else round(seen.blackout_ms, 3),
                probe_resolution_ms=None if seen is None else round(seen.resolution_ms, 3),
                blackout_ms=late_ms,
            )
        )

    def _end(self, outcome: Event) -> None:
        if self._probe is not None:
            self._probe.leave(self.request.vm_id)
        self.outcome = outcome
        self._around.report(outcome)
