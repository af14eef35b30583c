"""What the doctor makes of what it was told: clusters, hosts, clocks and links that are not as they should be."""

from typing import Any

import pytest

from slacktide.executors.connections_file import HostAddress
from slacktide.executors.doctor import ray_nodes
from slacktide.executors.doctor.check import Check
from slacktide.executors.doctor.clocks import Offset, clock_check, offset_of
from slacktide.executors.doctor.cluster import cluster_checks, node_checks, unreachable
from slacktide.executors.doctor.hypervisors import _host_check, _unequal
from slacktide.executors.doctor.links import Ear, link_checks
from slacktide.executors.doctor.on_host import HostSide, answer
from slacktide.ids import HostId
from slacktide.service.console import show
from slacktide.service.doctor_text import doctor_text, summary

H1, H2, H3 = (HostId(f"h{number}") for number in (1, 2, 3))
HERE = {"python": "3.11.2", "ray": "2.60.0", "slacktide": "0.1.0"}
SECURE = {"RAY_AUTH_MODE": "token", "RAY_USE_TLS": "1"}


def node(address: str, *resources: str, alive: bool = True) -> dict[str, Any]:
    return {"node": address, "address": address, "alive": alive, "resources": dict.fromkeys(resources, 1.0)}


def cluster(*nodes: dict[str, Any], url: str = "", answers: bool = False) -> dict[str, Any]:
    return {"ray": "2.60.0", "address": "a:6379", "nodes": nodes, "dashboard": {"url": url, "answers": answers}}


def wrong(checks) -> dict[str, str]:
    return {check.subject: f"{check.verdict}: {check.fact}" for check in checks if check.verdict not in ("ok",)}


def test_resources_name_hosts_that_are_there_once() -> None:
    nodes = [node("n1", "host:h1", "gateway"), node("n2", "host:h2"), node("n3", "host:h2"), node("n4", "host:h9")]
    found = wrong(cluster_checks(cluster(*nodes), [H1, H2, H3]))
    assert "several nodes" in found["h2"]
    assert "has no such host" in found["h9"]
    (agents,) = [check for check in cluster_checks(cluster(*nodes), [H1, H2, H3]) if check.subject == "agents"]
    assert agents.fact.startswith("2 of 3 hosts have a node, 1 node is a gateway")
    assert wrong(cluster_checks(cluster(*nodes[:2]), [])) == {}


def test_a_node_that_has_ended_and_not_come_back() -> None:
    nodes = [node("n1"), node("n2", "host:h2", alive=False), node("n1", alive=False)]
    assert wrong(cluster_checks(cluster(*nodes), [])) == {"node of h2": "warning: has ended"}


def test_a_dashboard_is_to_answer_where_there_is_one() -> None:
    assert wrong(cluster_checks(cluster(node("n1")), [])) == {}
    assert wrong(cluster_checks(cluster(node("n1"), url="http://n1:8265", answers=True), [])) == {}
    assert "does not answer" in wrong(cluster_checks(cluster(node("n1"), url="http://n1:8265"), []))["dashboard"]


@pytest.mark.parametrize(
    ("address", "changes", "said"),
    [
        ("192.0.2.1", {}, None),
        ("192.0.2.1", {"ray": "2.59.0"}, "error: has Ray 2.59.0, this machine 2.60.0"),
        ("192.0.2.1", {"python": "3.12.1"}, "error: has Python 3.12.1, this machine 3.11.2"),
        ("192.0.2.1", {"slacktide": "0.2.0"}, "error: has Slacktide 0.2.0, this machine 0.1.0"),
        ("192.0.2.1", {"environment": {"RAY_USE_TLS": "1"}}, "error: runs without a token"),
        ("192.0.2.1", {"environment": {"RAY_AUTH_MODE": "token"}}, "error: runs without TLS"),
        ("127.0.0.1", {"environment": {"RAY_USE_TLS": "1"}}, "warning: runs without a token"),
    ],
)
def test_nodes_have_the_same_software_and_keep_strangers_out(address: str, changes: dict, said: str | None) -> None:
    about = {**HERE, "environment": SECURE, **changes}
    found = wrong(node_checks(node(address, "host:h1"), about, HERE))
    if said is None:
        assert found == {}
    else:
        assert found["node of h1"].startswith(said)


def test_a_node_without_slacktide_is_told_from_one_that_hangs() -> None:
    assert "does not find Slacktide" in unreachable(node("n1"), "ModuleNotFoundError: No module named 'slacktide'").fact
    assert "runs nothing" in unreachable(node("n1"), "GetTimeoutError: timed out").fact


def test_hosts_with_an_old_qemu_or_another_name() -> None:
    address = HostAddress("qemu+tls://h1/system")
    assert _host_check(H1, address, "h1", 10_000_002, 11_003_000).verdict == "ok"
    old = _host_check(H1, address, "h1", 7_002_000, 9_000_000)
    assert (old.verdict, "QEMU 7.2.0" in old.fact) == ("error", True)
    assert "is called h7" in _host_check(H1, address, "h7", 10_000_002, 11_003_000).fact
    unequal = list(_unequal({H1: (10_000_002, 11_003_000), H2: (9_002_000, 11_003_000), H3: None}))
    assert [(check.subject, check.verdict) for check in unequal] == [("h2", "warning")]


def test_a_clock_is_judged_by_what_is_certain() -> None:
    assert clock_check("h1", Offset(499, 0.5), 500).verdict == "ok"
    assert clock_check("h1", Offset(-700, 100), 500).verdict == "error"
    assert clock_check("h1", Offset(450, 100), 500).verdict == "unknown"
    assert "700.0 ms behind (±100.0 ms), limit 500 ms" in clock_check("h1", Offset(-700, 100), 500).fact


def test_a_clock_that_counts_from_midnight_is_compared_across_midnight() -> None:
    import time

    offset = offset_of(lambda: (time.time() * 1000 + 2_000) % 86_400_000, day=True)
    assert abs(offset.ms - 2_000) <= offset.exact_ms + 0.001


class Carried:
    """Hosts whose links carry what a test says."""

    def __init__(self, rates: dict[HostId, float]) -> None:
        self.rates = rates
        self.sent: list[tuple[HostId, str]] = []

    def ear(self, host: HostId) -> Ear:
        def ask(what: str, **how: Any) -> Any:
            if what == "listen":
                return {"port": 1, "mark": "m"}
            if what == "send":
                self.sent.append((host, how["address"]))
                return None
            return self.rates[host]

        return Ear(ask, f"at-{host}")


def test_links_are_measured_in_a_ring_and_set_beside_what_is_stated() -> None:
    carried = Carried({H1: 9_500.0, H2: 7_000.0, H3: 900.0})
    ears = {host: carried.ear(host) for host in (H3, H1, H2)}
    found = {check.subject: check for check in link_checks(ears, {H1: 10_000, H2: 10_000, H3: 1_000}, 2.0)}
    assert carried.sent == [("h1", "at-h2"), ("h2", "at-h3"), ("h3", "at-h1")]
    assert found["h1 to h2"].verdict == "error"
    assert found["h1 to h2"].fact == "7.00 Gbit/s measured for 2 s, 10.00 Gbit/s stated"
    assert found["h2 to h3"].verdict == found["h3 to h1"].verdict == "ok"
    assert {check.verdict for check in link_checks(ears, {}, 2.0)} == {"unknown"}
    assert list(link_checks({H1: ears[H1]}, {}, 2.0)) == []


def test_only_what_is_known_is_answered() -> None:
    assert "nobody knows _sinks" in answer(HostSide(), '{"ask": "_sinks"}')["wrong"]
    assert "nobody knows __init__" in answer(HostSide(), '{"ask": "__init__"}')["wrong"]
    assert "JSONDecodeError" in answer(HostSide(), "{")["wrong"]
    assert answer(HostSide(), '{"ask": "about"}')["said"]["slacktide"]


@pytest.mark.parametrize(
    ("words", "told"), [((), "OSError"), (("  ",), "OSError"), (("Traceback\n  why\n",), "OSError: why")]
)
def test_an_error_without_words_is_told_by_its_kind(words: tuple[str, ...], told: str) -> None:
    class Failing(ray_nodes.Nodes, HostSide):
        def cluster(self) -> dict[str, Any]:
            raise OSError(*words)

        clock_ms = cluster

    assert ray_nodes.answer(Failing(), '{"ask": "cluster"}') == {"wrong": told}
    assert answer(Failing(), '{"ask": "clock_ms"}') == {"wrong": told}


def test_alike_checks_are_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check("hosts", f"h{number}", "ok", "answers") for number in range(1, 9)]
    checks += [Check("machine", "Python", "ok", "3.11"), Check("hosts", "h9", "error", "is away", "Start it")]
    show(doctor_text(checks))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["ok", "machine", "Python"]
    assert "h1, h2, h3, h4, h5 and 3 more" in lines[1]
    assert "Start it" in lines[3]
    assert lines[-1] == summary(checks) == "10 checks: 1 error"
