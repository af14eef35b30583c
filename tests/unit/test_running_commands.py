"""Commands that outlive who started them."""

import os
import subprocess
from pathlib import Path

from slacktide.executors.drivers.libvirt.running_commands import running_note, still_runs, write_note
from slacktide.ids import HostId


def test_a_command_is_waited_for_while_it_runs_and_not_for_another_of_its_number(tmp_path: Path) -> None:
    note = tmp_path / "note.json"
    assert not still_runs(note)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        write_note(note, process.pid)
        assert still_runs(note)
        process.communicate(b"")
    assert not still_runs(note)
    write_note(note, os.getpid())
    note.write_text(note.read_text().replace('"began": "', '"began": "1'))
    assert not still_runs(note)
    note.write_text("{")
    assert not still_runs(note)


def test_hosts_have_notes_of_their_own_whatever_they_are_called() -> None:
    first, second = running_note(HostId("../../h1")), running_note(HostId("h1"))
    assert first != second
    assert first.parent == second.parent
