import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slacktide.errors import InputError
from slacktide.executors.event_codec import EVENT_TYPES, Row, decode, encode, from_json, to_json
from slacktide.executors.events import MigrationDone, PatchFailed, TargetReserved

VALUES = {
    "at_s": st.floats(0, 1e6),
    "attempt": st.integers(1, 9),
    "wave": st.integers(0, 99),
    "blackout_ms": st.none() | st.floats(0, 1e5),
    "transfer_mib": st.none() | st.floats(0, 1e5),
    "probe_blackout_ms": st.none() | st.floats(0, 1e5),
    "probe_resolution_ms": st.none() | st.floats(0, 1e5),
    "iteration": st.integers(0, 99),
    "untouched": st.none() | st.booleans(),
    "sent_mib": st.floats(0, 1e5),
    "remaining_mib": st.floats(0, 1e5),
    "dirty_mib_s": st.floats(0, 1e5),
    "rate_mib_s": st.floats(0, 1e5),
    "throttle": st.floats(0, 1),
    "estimate_s": st.none() | st.floats(0, 1e5),
    "retryable": st.booleans(),
    "again": st.none() | st.booleans(),
    "cancel": st.booleans(),
    "healthy": st.booleans(),
    "vcpus": st.integers(1, 512),
    "memory_mib": st.integers(1, 2**20),
    "local_disk_mib": st.integers(0, 2**30),
    "pinned": st.booleans(),
    "follows_host": st.booleans(),
    "order": st.integers(0, 99),
    "why": st.text(),
}
any_event = st.sampled_from(sorted(EVENT_TYPES)).flatmap(
    lambda name: st.builds(
        EVENT_TYPES[name],
        **{field: VALUES.get(field, st.text()) for field in EVENT_TYPES[name].__match_args__},
    )
)


@given(any_event)
def test_every_event_comes_back_from_its_row_and_from_json(event) -> None:
    assert decode(encode(event)) == event
    assert from_json(json.loads(json.dumps(to_json(event)))) == event
    assert type(decode(encode(event))) is type(event)


def test_names_of_stored_types_are_fixed() -> None:
    """A journal holds these names; renaming one makes old journals unreadable."""
    assert sorted(EVENT_TYPES) == [
        "agent-away",
        "agent-back",
        "blackout-started",
        "brownout-started",
        "campaign-aborted",
        "campaign-continued",
        "campaign-created",
        "campaign-finished",
        "campaign-paused",
        "campaign-resumed",
        "decision-awaited",
        "decision-over",
        "drift-accepted",
        "forwarding-ended",
        "forwarding-started",
        "guest-acknowledged",
        "host-blocked",
        "host-drain-started",
        "host-drained",
        "host-evacuated",
        "host-failed",
        "host-refilled",
        "host-resolved",
        "host-returned",
        "host-skipped",
        "limits-changed",
        "migration-cancelled",
        "migration-done",
        "migration-failed",
        "migration-forced",
        "migration-given-up",
        "migration-intended",
        "migration-notified",
        "migration-progress",
        "migration-resolved",
        "migration-waiting",
        "order-refused",
        "patch-failed",
        "patch-intended",
        "patch-started",
        "plan-revised",
        "signal-changed",
        "source-deleted",
        "target-connected",
        "target-prepared",
        "target-reserved",
        "vm-created",
        "vm-deleted",
        "vm-lost",
        "vm-moved",
        "wave-approved",
        "wave-closed",
        "wave-opened",
    ]


def test_a_row_reads_as_a_person_expects() -> None:
    assert encode(TargetReserved(3.5, "m1", 2)) == Row(3.5, "target-reserved", "m1", '{"attempt":2}')
    done = encode(MigrationDone(9.0, "m1", 1, 100.0, None))
    assert done.body == '{"attempt":1,"transfer_mib":100.0,"probe_blackout_ms":null}'


def test_a_patch_that_failed_before_it_was_known_what_it_touched_still_reads() -> None:
    old = Row(3.0, "patch-failed", "h1", '{"reason":"lost"}')
    assert decode(old) == PatchFailed(3.0, "h1", "lost")
    assert encode(PatchFailed(3.0, "h1", "lost")) == old
    untouched = PatchFailed(3.0, "h1", "refused", untouched=True)
    assert encode(untouched).body == '{"reason":"refused","untouched":true}'
    assert decode(encode(untouched)) == untouched


@pytest.mark.parametrize(
    "row",
    [
        Row(0.0, "unheard-of", None, None),
        Row(0.0, "target-reserved", "m1", None),
        Row(0.0, "target-reserved", "m1", '{"attempt":1,"more":2}'),
        Row(0.0, "target-reserved", "m1", "{"),
        Row(0.0, "wave-opened", None, None),
        Row(0.0, "host-drained", None, None),
    ],
)
def test_a_damaged_row_is_an_error_with_a_remedy(row) -> None:
    with pytest.raises(InputError, match="event"):
        decode(row)
