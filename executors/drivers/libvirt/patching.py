"""The patch of a drained host: a command of the operator's, and then its libvirtd's word that it is back."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from slacktide.errors import DriverError, OutputError
from slacktide.executors import events
from slacktide.executors.drivers.libvirt.errors import words
from slacktide.executors.drivers.libvirt.hypervisors import Hypervisors
from slacktide.executors.drivers.libvirt.running_commands import running_note, still_runs, write_note
from slacktide.executors.drivers.protocol import PatchRequest
from slacktide.executors.events import Event

HOST: Final = "{host}"
"""Stands for the host's id in the command."""
ASK_AGAIN_S: Final = 0.5
NAMED: Final = 5
"""Guests that a reason names."""
WORDS: Final = 300
"""Characters of what a failed command said that are told: its last lines, where the reason is."""


class Patching:
    """The patch of one host, in the background.

    The command runs where the agent does, with ``SLACKTIDE_HOST`` and ``SLACKTIDE_PATCH_LEVEL`` in its environment.
    An agent that takes over from one that ended runs it again, so it has to be one that may be run twice.
    """

    def __init__(
        self,
        request: PatchRequest,
        command: Sequence[str],
        hypervisors: Hypervisors,
        now_s: Callable[[], float],
        report: Callable[[Event], None],
    ) -> None:
        self.request = request
        self._command = [word.replace(HOST, request.host_id) for word in command]
        self._hypervisors = hypervisors
        self._now_s = now_s
        self._report = report
        self.returned = False

    def adopt(self) -> None:
        """Begin it again, after an agent that ended: the host may be in the middle of it, and is waited for."""
        threading.Thread(target=self._run_again, name=f"patch {self.request.host_id}", daemon=True).start()

    def _run_again(self) -> None:
        self._wait_for_command()
        self._wait_for_host()
        self._run()

    def _wait_for_command(self) -> None:
        """Return once no command of before runs for this host."""
        while still_runs(running_note(self.request.host_id)):
            time.sleep(ASK_AGAIN_S)

    def begin(self) -> None:
        """Begin it."""
        self._report(events.PatchStarted(self._now_s(), self.request.host_id))
        threading.Thread(target=self._run, name=f"patch {self.request.host_id}", daemon=True).start()

    def _run(self) -> None:
        host = self.request.host_id
        self._wait_for_command()
        refused = self._obstacle()
        if refused is not None:
            self._fail(f"it was not touched: {refused}")
            return
        environment = os.environ | {"SLACKTIDE_HOST": host, "SLACKTIDE_PATCH_LEVEL": self.request.patch_level}
        try:
            code, said = self._carry_out(environment)
        except OSError as error:
            self._fail(f"{self._command[0]} cannot be run: {error.strerror or error}")
            return
        if code != 0:
            self._fail(f"{self._command[0]} ended with {code} and said: {said}")
            return
        self._wait_for_host()
        self.returned = True
        self._report(events.HostReturned(self._now_s(), host))

    def _carry_out(self, environment: dict[str, str]) -> tuple[int, str]:
        """Run the command to its end; return its exit code and its last words.

        It is in a session of its own and writes to a file, so that neither Ctrl-C nor this process's end stops it in
        the middle of a patch.  It is written down, so that who comes after waits for it.
        """
        with tempfile.TemporaryFile() as output:
            running = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
            note = running_note(self.request.host_id)
            with suppress(OutputError):  # the command runs, and ends, with or without it
                write_note(note, running.pid)
            code = running.wait()
            note.unlink(missing_ok=True)
            output.seek(max(0, output.tell() - 4 * WORDS))
            words_said = output.read().decode("utf-8", errors="replace").split()
        return code, " ".join(words_said)[-WORDS:] or "nothing"

    def _obstacle(self) -> str | None:
        """Return why the host must not be patched now, None: nothing runs on it.

        A plan knows the guests that were there when it was made; one that somebody has started since would be lost.
        """
        import libvirt

        try:
            running = self._hypervisors.connection(self.request.host_id).listAllDomains(
                libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
            )
            names = sorted(domain.name() for domain in running)
        except DriverError as error:
            return str(error)
        except libvirt.libvirtError as error:
            return f"its libvirtd does not say what runs on it: {words(error)}"
        if not names:
            return None
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return f"{', '.join(names[:NAMED])}{more} run on it, which the plan does not know of"

    def _fail(self, reason: str) -> None:
        self._report(events.PatchFailed(self._now_s(), self.request.host_id, reason))

    def _wait_for_host(self) -> None:
        """Return once the host's libvirtd answers; that it takes too long is the coordinator's to say."""
        while True:
            try:
                self._hypervisors.renew(self.request.host_id)
            except DriverError:
                time.sleep(ASK_AGAIN_S)
            else:
                return
