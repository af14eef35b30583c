"""Logs: a line for each record, found by campaign, host and VM."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from campaigns import SOME_WRONG, agents_of, coordinator_of, program_of, record_of

from slacktide.executors import events
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import Entry, Journal
from slacktide.executors.logs import ROOT, LogSettings, are_asked_for, log_settings, log_to


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger(ROOT)
    before = root.handlers, root.level, root.propagate
    yield
    root.handlers, root.propagate = before[0], before[2]
    root.setLevel(before[1])


def carried_out(folder, settings: LogSettings) -> tuple[list[str], list[Entry]]:
    stream = io.StringIO()
    log_to(stream, settings)
    program = program_of()
    journal = Journal.create(folder / "j.sqlite", record_of(), durability="process")
    agents = agents_of(program, SimulationSettings(seed=3, failures=SOME_WRONG))
    coordinator = coordinator_of(program, journal, agents)
    while not coordinator.state.finished:
        coordinator.round()
    entries = journal.read()
    journal.close()
    return stream.getvalue().splitlines(), entries


def test_what_goes_wrong_and_what_hosts_do_is_logged_with_campaign_host_and_vm(tmp_path) -> None:
    lines, entries = carried_out(tmp_path, LogSettings())
    told = [json.loads(line) for line in lines]
    assert {line["campaign"] for line in told} == {"test"}
    program, by_number = program_of(), {entry.number: entry.event for entry in entries}
    failed = [line for line in told if line["message"] == "migration-failed"]
    assert len(failed) == sum(isinstance(entry.event, events.MigrationFailed) for entry in entries) > 0
    numbers = {name: number for number, name in enumerate(program.migrations.ids)}
    for line in failed:
        number = numbers[line["migration"]]
        assert line["level"] == "warning"
        assert line["vm"] == program.vms.ids[program.migrations.vm[number]]
        assert line["host"] == program.hosts.ids[program.migrations.source[number]]
        assert line["error"] == by_number[line["entry"]].error
    returned = [line["host"] for line in told if line["message"] == "host-returned"]
    assert sorted(returned) == sorted(e.event.host_id for e in entries if isinstance(e.event, events.HostReturned))
    assert not [line for line in told if line["message"] == "brownout-started"]


def test_at_level_debug_every_entry_is_a_line(tmp_path) -> None:
    lines, entries = carried_out(tmp_path, LogSettings(level="DEBUG"))
    assert [json.loads(line)["entry"] for line in lines] == [entry.number for entry in entries]


def test_as_text_a_line_says_the_same(tmp_path) -> None:
    lines, _ = carried_out(tmp_path, LogSettings(as_json=False, level="WARNING"))
    failed = [line for line in lines if " WARNING migration-failed  campaign=test entry=" in line]
    assert failed
    assert all(" vm=" in line and " error=" in line for line in failed)


def test_an_error_of_ours_is_within_its_line() -> None:
    stream = io.StringIO()
    log_to(stream, LogSettings(), agent="h1")
    try:
        raise ValueError("no such thing")
    except ValueError:
        logging.getLogger("slacktide.executors.revising").exception("No revision")
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert (told["message"], told["agent"], told["level"]) == ("No revision", "h1", "error")
    assert told["error"].endswith("ValueError: no such thing")


def test_a_command_that_was_not_asked_to_logs_nothing(tmp_path, capfd) -> None:
    program = program_of()
    journal = Journal.create(tmp_path / "j.sqlite", record_of(), durability="process")
    coordinator = coordinator_of(program, journal, agents_of(program, SimulationSettings(failures=SOME_WRONG)))
    while not coordinator.state.finished:
        coordinator.round()
    journal.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("environment", "settings", "asked"),
    [
        ({}, LogSettings(), False),
        ({"SLACKTIDE_LOG_FORMAT": "text"}, LogSettings(as_json=False), True),
        ({"SLACKTIDE_LOG_FORMAT": "json", "SLACKTIDE_LOG_LEVEL": "debug"}, LogSettings(level="DEBUG"), True),
        ({"SLACKTIDE_LOG_LEVEL": "loud"}, LogSettings(), True),
    ],
)
def test_the_environment_says_how(environment, settings, asked) -> None:
    assert (log_settings(environment), are_asked_for(environment)) == (settings, asked)
