"""What alerts of hosts become: read as Alertmanager sends them, folded, resolved."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from triggers_at_hand import ALERTS, HOSTS, NOW, Rows, alert

from slacktide.errors import InputError
from slacktide.executors.triggers import alerts_told
from slacktide.executors.triggers.alert import host_of, matches, parse_delivery
from slacktide.executors.triggers.settings import Alerts
from slacktide.executors.triggers.trigger import State

SENT = {
    "version": "4",
    "groupKey": '{}:{alertname="HostAboutToFail"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "slacktide",
    "groupLabels": {"alertname": "HostAboutToFail"},
    "commonLabels": {"alertname": "HostAboutToFail"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HostAboutToFail", "instance": "h1:9100", "severity": "page"},
            "annotations": {"summary": "correctable memory errors climb"},
            "startsAt": "2026-11-29T14:59:30.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
            "fingerprint": "c1f0a8b1d3a1b2c3",
        }
    ],
}
"""As Alertmanager 0.27 posts it."""


def told(rows: Rows, one, terms: Alerts = ALERTS) -> str:
    host = host_of(one, terms.label)
    outcome = ""

    def decide(found):
        nonlocal outcome
        outcome, changes = alerts_told.told(found, one, host, HOSTS, terms, NOW)
        return changes

    rows.decide(partial(decide))
    return outcome


def test_a_delivery_is_read_as_it_is_sent() -> None:
    (one,) = parse_delivery(json.dumps(SENT).encode()).alerts
    assert (one.status, one.fingerprint) == ("firing", "c1f0a8b1d3a1b2c3")
    assert host_of(one, "instance") == "h1"
    assert matches(one, {"severity": ("page", "warn")})
    assert not matches(one, {"severity": ("info",)})
    assert not matches(one, {"team": ("x",)})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"version": "3", "alerts": []}', b"\xff", b'{"version": "4", "alerts": [{}]}']
)
def test_what_is_no_delivery_is_refused(body) -> None:
    with pytest.raises(InputError, match="is not what Alertmanager's webhook sends"):
        parse_delivery(body)


@pytest.mark.parametrize(
    ("value", "domain", "host"),
    [
        ("h1:9100", False, "h1"),
        ("h1", False, "h1"),
        ("h1.dc.example:9100", False, "h1.dc.example"),
        ("h1.dc.example:9100", True, "h1"),
        ("10.0.0.1:9100", True, "10.0.0.1"),
        ("[fd00::1]:9100", True, "fd00::1"),
        ("", False, None),
    ],
)
def test_the_host_is_taken_from_its_label(value, domain, host) -> None:
    one = alert().model_copy(update={"labels": {"instance": value}})
    assert host_of(one, "instance", strip_domain=domain) == host


def test_a_repeated_delivery_is_folded_and_a_second_alert_of_the_host_as_well() -> None:
    rows = Rows()
    assert told(rows, alert()) == "to be drained"
    assert told(rows, alert()) == "folded into trigger 1"
    assert told(rows, alert("f2", name="Memory")) == "folded into trigger 1"
    assert told(rows, alert("f3", "h2")) == "to be drained"
    assert rows.states == ["waits", "waits"]
    assert rows.rows[0].course.times == 3
    assert sorted(rows.rows[0].course.firing) == ["f1", "f2"]


def test_it_is_withdrawn_once_all_alerts_of_the_host_are_resolved() -> None:
    rows = Rows()
    told(rows, alert())
    told(rows, alert("f2"))
    assert told(rows, alert(status="resolved")) == "resolved: noted"
    assert rows.states == ["waits"]
    assert told(rows, alert("f2", status="resolved")) == "resolved: withdrawn"
    assert rows.states == ["withdrawn"]
    assert told(rows, alert()) == "resolved already: delivered late"
    assert told(rows, alert(since_s=60)) == "to be drained", "it fires anew"
    assert rows.states == ["withdrawn", "waits"]


def test_resolved_while_it_waits_for_approval_its_campaign_is_asked_to_end() -> None:
    rows = Rows()
    told(rows, alert())
    rows.put(1, State.APPROVAL, campaign_id="c1")
    assert told(rows, alert(status="resolved")) == "resolved: withdrawn"
    assert (rows.states, rows.rows[0].course.ending) == (["approval"], State.WITHDRAWN)
    assert rows.asked[0].asking.kind == "abort"


def test_resolved_while_its_campaign_runs_changes_nothing() -> None:
    rows = Rows()
    told(rows, alert())
    rows.put(1, State.RUNS, campaign_id="c1")
    assert told(rows, alert(status="resolved")) == "resolved: its campaign goes on"
    assert (rows.states, rows.asked) == (["runs"], [])


def test_one_that_is_done_is_not_done_again_and_one_that_failed_is_tried_again() -> None:
    rows = Rows()
    told(rows, alert())
    rows.put(1, State.DONE)
    assert told(rows, alert()) == "drained already"
    rows.put(1, State.FAILED)
    assert told(rows, alert()) == "tried again"
    assert rows.states == ["waits"]


def test_hosts_that_the_fleet_does_not_have_are_reported_once() -> None:
    rows = Rows()
    assert told(rows, alert("f1", "h9")) == "the fleet has no host h9, by label `instance`"
    assert told(rows, alert("f1", "h9")) == "the fleet has no host h9, by label `instance`"
    assert told(rows, alert("f2", None)) == "label `instance` is missing"
    assert rows.states == ["refused", "refused"]
    assert told(rows, alert("f4", status="resolved")) == "resolved: nothing had come of it"


FORWARD = (State.WAITS, State.BEGINS, State.APPROVAL, State.RUNS, State.DONE)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["f1", "f2", "f3"]),
            st.sampled_from(["firing", "resolved"]),
            st.integers(0, 3),
            st.sampled_from([None, *FORWARD]),
        ),
        max_size=20,
    )
)
def test_whatever_is_delivered_a_host_has_one_open_trigger_and_none_without_an_alert_that_fires(came) -> None:
    hosts = {"f1": "h1", "f2": "h1", "f3": "h2"}
    rows = Rows()
    for fingerprint, status, since_s, then in came:
        told(rows, alert(fingerprint, hosts[fingerprint], status, since_s), Alerts(start="approve"))
        last = rows.rows[-1] if rows.rows else None
        if last is not None and then is not None and last.state in FORWARD[: FORWARD.index(then)]:
            rows.put(last.number, then, campaign_id="c", launched=True)
    wanted = [each for each in rows.rows if each.is_open and each.course.ending is None]
    assert len({each.asked.host for each in wanted}) == len(wanted)
    assert all(each.course.firing for each in wanted if each.can_be_withdrawn)
