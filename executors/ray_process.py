"""A campaign on Ray, seen from the command that waits for it.

Ray ends a whole process when it cannot reach its cluster's head for some time.  So the command itself does not speak to
Ray: a process of its own does, its runner, and when that has ended the command starts another one, which goes on from
the journal.  A runner ends with the command, and all actors with their runner: nothing is left behind.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from slacktide.errors import ExecutionError, SlacktideError
from slacktide.executors.attendance import ClusterError, Restarts
from slacktide.executors.campaign_file import RAY_LOG_FILE
from slacktide.executors.campaign_state import CampaignState, initial_state
from slacktide.executors.journal import CampaignRecord
from slacktide.executors.logs import are_asked_for, log_settings, log_to
from slacktide.executors.progress import Progress, progress
from slacktide.executors.terms import CampaignSetup

START_S: Final = 180.0
AGENT_START_S: Final = 5.0
"""How long a runner may take to start, and how much longer for each agent: several seconds each on a busy machine."""
SILENT_S: Final = 180.0
"""How long a runner may say nothing: a step takes a quarter of a second, the longest write of a large batch some
seconds.  One that waits for a head that is gone hears of it much sooner, by being ended by Ray."""
CLOSE_S: Final = 60.0
HEAD_S: Final = 600.0
"""How long a cluster that does not answer is waited for: a machine that reboots is back by then."""
HEAD_GONE_S: Final = "20"
"""How long Ray itself waits for a head that does not answer, in seconds, before it ends the runner; Ray's default is a
minute."""
ASK_AGAIN_S: Final = 2.0
_DIE_WITH_PARENT: Final = 1
"""``PR_SET_PDEATHSIG``."""


class RayProcess:
    """A campaign that can be stepped, in a runner that is started again when it ends."""

    def __init__(self, setup: CampaignSetup, cpus: int, tell: Callable[[str], None]) -> None:
        self._setup, self._cpus, self._tell = setup, cpus, tell
        self._address = _address()
        self._record: CampaignRecord | None = None
        self.last = progress(initial_state(setup.program), setup.program)
        """How far the campaign is, as far as that is known."""
        self._restarts = Restarts()
        self._gone_s: float | None = None
        """Since when there has been no runner."""
        self._waits = False
        """Whether it was told that there is no cluster."""
        try:
            self._start()
        except EOFError as error:
            self._end()
            fact = "ended its process, or did not start within the time that it may take"
            raise ExecutionError("Ray", fact, f"See {self._setup.directory / RAY_LOG_FILE}") from error
        except BaseException:
            self.close()
            raise

    def begin(self, record: CampaignRecord) -> None:
        """Have the campaign taken up."""
        self._record = record
        try:
            self.last = self._ask("begin", record, self._start_s)
        except EOFError:
            self._note_end()

    def step(self, wall_s: float) -> Progress:
        """Go on for about ``wall_s`` seconds and return how far the campaign is, as far as that is known.

        Raises
        ------
        ExecutionError
            If the cluster does not come back, or the campaign cannot go on.
        """
        try:
            if self._gone_s is not None:
                self._start_again()
            if self._gone_s is None:
                self.last = self._ask("step", wall_s, SILENT_S) or self.last
        except EOFError:
            self._note_end()
        return self.last

    def state(self) -> CampaignState:
        """Return what is known of the campaign."""
        while True:
            try:
                if self._gone_s is not None:
                    self._start_again()
                if self._gone_s is None:
                    state: CampaignState = self._ask("state", None, SILENT_S)
                    return state
            except EOFError:
                self._note_end()

    def close(self) -> None:
        """Let go of the journal and end the actors."""
        with suppress(EOFError, OSError, ExecutionError):
            self._connection.send(("close", None))
            self._process.join(CLOSE_S)
        self._end()
        self._drop_empty_log()

    def _drop_empty_log(self) -> None:
        log = self._setup.directory / RAY_LOG_FILE
        with suppress(OSError):
            if not log.stat().st_size:
                log.unlink()

    @property
    def _start_s(self) -> float:
        return START_S + AGENT_START_S * len(self._setup.places)

    def _start(self) -> None:
        """Start a runner and return once its actors are there."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, os.getpid(), self._setup, self._cpus, self._address), name="campaign on Ray"
        )
        self._process.start()
        theirs.close()
        self._hear(self._start_s)

    def _ask(self, what: str, argument: object, limit_s: float) -> Any:  # noqa: ANN401  (each question has its own answer)
        try:
            self._connection.send((what, argument))
        except OSError as error:
            raise EOFError from error
        return self._hear(limit_s)

    def _hear(self, limit_s: float) -> Any:  # noqa: ANN401  (as above)
        """Return the runner's answer; its own errors are raised here.

        Raises
        ------
        EOFError
            If it has ended, or says nothing.
        """
        if not self._connection.poll(limit_s):
            raise EOFError
        try:
            answer, said = self._connection.recv()
        except OSError as error:
            raise EOFError from error
        for words in said:
            self._tell(words)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _end(self) -> None:
        """End the runner, and with it all its actors, if it has not ended by itself."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()

    def _note_end(self) -> None:
        self._end()
        if not self._restarts.allow(time.monotonic()):
            fact = f"its process on Ray ended {self._restarts.most + 1} times in a row"
            remedy = f"See {RAY_LOG_FILE} in the campaign's directory; the same command goes on from there"
            raise ExecutionError(f"campaign {self._setup.journal.campaign}", fact, remedy)
        self._tell("the campaign's process on Ray ended; what is under way goes on, and another process is started")
        self._gone_s, self._waits = time.monotonic(), False

    def _start_again(self) -> None:
        """Start a runner if there is a cluster, and have it go on from the journal."""
        assert self._gone_s is not None
        try:
            self._start()
            if self._record is not None:
                self._ask("begin", self._record, self._start_s)
        except (EOFError, ClusterError) as error:
            self._end()
            if time.monotonic() - self._gone_s > HEAD_S:
                fact = f"has not answered for {HEAD_S / 60:.0f} min"
                remedy = (
                    "Start its head again (ray start --head), then give the same command: it goes on from its journal"
                )
                raise ExecutionError("Ray's head", fact, remedy) from error
            if not self._waits:
                self._waits = True
                self._tell(f"Ray's head does not answer: it is waited for, up to {HEAD_S / 60:.0f} min")
            time.sleep(ASK_AGAIN_S)
            return
        self._tell("the campaign goes on from its journal")
        self._gone_s = None


def _address() -> str | None:
    """Return where the cluster is that this process is connected to; None: it is not, and has not loaded Ray."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    address: str = ray.get_runtime_context().gcs_address
    return address


def _run(connection: Connection, parent: int, setup: CampaignSetup, cpus: int, address: str | None) -> None:
    """Be a runner: carry the campaign out as the command asks, until that says so or ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)  # with the thread that started it, to be exact
    if os.getppid() != parent:
        return
    os.setsid()  # Ctrl-C is for the command, which ends this process between two steps
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", HEAD_GONE_S)
    _write_to(setup.directory / RAY_LOG_FILE)
    if are_asked_for():
        log_to(sys.stderr, log_settings(), campaign=str(setup.journal.campaign))
    from slacktide.executors import actors
    from slacktide.executors.ray_campaign import RayCampaign
    from slacktide.executors.ray_names import entitle, job_name

    hosts = [place.host for place in setup.places if place.host is not None]
    try:
        with actors.cluster(cpus, hosts=hosts, address=address, job=job_name(setup.journal.campaign)):
            entitle(setup.journal.campaign)
            campaign = RayCampaign(setup)
            try:
                connection.send((None, []))
                _serve(connection, campaign)
            finally:
                campaign.close()
    except Exception as error:  # whatever it is, the command is to raise it
        connection.send((_portable(error), []))


def _serve(connection: Connection, campaign: Any) -> None:  # noqa: ANN401  (its type is loaded with Ray)
    """Answer the command's questions, until it asks to close or has ended."""
    while True:
        try:
            what, argument = connection.recv()
        except EOFError:
            return
        if what == "close":
            return
        answer = campaign.state() if what == "state" else getattr(campaign, what)(argument)
        connection.send((answer, campaign.said()))


def _portable(error: Exception) -> Exception:
    """Return an error that the command can read: one of ours as it is, another with its text."""
    if isinstance(error, SlacktideError):
        return error
    remedy = f"See {RAY_LOG_FILE} in the campaign's directory, and report it; the same command goes on from the journal"
    return ExecutionError("the campaign on Ray", f"failed: {error!r}", remedy)


def _write_to(log: Path) -> None:
    """Have all output of this process, and of those that it starts, in a file."""
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
