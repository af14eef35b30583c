"""The post-migration brownout in a campaign's report: counted, listed, and told where the fabric was told too late."""

from itertools import count

import polars as pl
import pytest
from small_fleet import small_fleet, small_plan

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.event_codec import decode, encode, from_json, to_json
from slacktide.executors.events import Event
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry
from slacktide.executors.program import build_program
from slacktide.executors.readable import UNKNOWN
from slacktide.executors.report_brownouts import brownout_words, brownouts, brownouts_listing
from slacktide.executors.report_rows import FABRIC, migration_rows, trouble_rows
from slacktide.service.words import plain

BEHIND = "30 s after vm2 moved to h9, control sends to h1, and nobody forwards its packets"


def moved(migration: str, ended: events.ForwardingEnded | None) -> list[Event]:
    """Return a migration that is done, and what is known of its fabric."""
    begun: list[Event] = [
        events.MigrationIntended(1.0, migration, 1),
        events.ForwardingStarted(5.0, migration, 1, 60.0),
    ]
    rest: list[Event] = [
        events.SourceDeleted(8.0, migration, 1),
        events.MigrationDone(8.0, migration, 1, 10.0, None),
    ]
    return [*begun, *([] if ended is None else [ended]), *rest]


def told(migration: str, sent: int | None, lost: int | None, why: str | None = None) -> events.ForwardingEnded:
    return events.ForwardingEnded(7.5, migration, 1, forwarded_packets=sent, lost_packets=lost, unconfirmed=why)


def tables(*happened: Event) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the report's rows of migrations and of troubles."""
    snapshot = small_fleet()
    plan = small_plan(snapshot)
    numbers = count(1)
    state = fold(initial_state(build_program(snapshot, plan)), [Entry(next(numbers), event) for event in happened])
    return migration_rows(plan, state), trouble_rows(state, {})


def test_packets_and_findings_are_in_the_rows_of_their_migrations() -> None:
    moves, troubles = tables(*moved("m1", told("m1", 40, 3)), *moved("m2", told("m2", 7, None, BEHIND)))
    names = ["fabric_s", "forwarded_packets", "lost_packets", "fabric_finding"]
    found = dict(zip(moves["migration_id"], moves.select(names).rows(), strict=True))
    assert found["m1"] == (2.5, 40, 3, None)
    assert found["m2"] == (2.5, 7, None, BEHIND)
    assert troubles.rows() == [(5.0, "migration", "m2", FABRIC, BEHIND)]


def test_they_are_summed_up_and_the_late_ones_are_listed_first() -> None:
    moves, _ = tables(*moved("m1", told("m1", 1_200, 3)), *moved("m2", told("m2", 7, None, BEHIND)))
    made = brownouts(moves)
    assert made is not None
    assert (made.migrations, made.forwarded_packets, made.lost_packets, made.findings) == (2, 1_207, 3, 1)
    words = plain(brownout_words(made))
    assert words == (
        "p50 2,500 ms, longest 2,500 ms; 1,207 packets forwarded, 3 lost, losses not known of 1; "
        "findings in 1 of 2 migrations"
    )
    rows = brownouts_listing(moves).rows
    assert [row[-1] for row in rows] == [BEHIND, ""]
    assert [plain(row[3]) for row in rows] == ["2,500 ms", "2,500 ms"], "what is short is told apart"
    assert [row[5] for row in rows] == [UNKNOWN, "3"], "what is not known is no nought"


def test_where_nobody_was_told_nothing_is_claimed() -> None:
    moves, troubles = tables(*moved("m1", None))
    assert brownouts(moves) is None
    assert troubles.is_empty()


def test_a_fabric_that_learns_has_lengths_alone_once_it_was_late() -> None:
    moves, _ = tables(*moved("m1", told("m1", None, None, "h1 does not ...")))
    made = brownouts(moves)
    assert made is not None
    assert (made.forwarded_packets, made.lost_packets, made.findings) == (None, None, 1)


def test_word_of_an_attempt_that_is_not_the_running_one_changes_nothing() -> None:
    late = events.ForwardingEnded(9.0, "m1", 1, forwarded_packets=99, lost_packets=99, unconfirmed=None)
    moves, _ = tables(*moved("m1", told("m1", 40, 3)), late)
    assert moves.filter(pl.col("migration_id") == "m1")["forwarded_packets"].item() == 40


@pytest.mark.parametrize("event", [told("m1", 40, 3), told("m1", None, None, BEHIND)])
def test_the_event_is_written_and_read_again(event: Event) -> None:
    assert decode(encode(event)) == event
    assert from_json(to_json(event)) == event
