"""What the command does while there is no cluster, without one."""

import pytest
from campaigns import planned_fleet

from slacktide.errors import ExecutionError
from slacktide.executors import ray_process
from slacktide.executors.agents import AgentPlace
from slacktide.executors.attendance import ClusterError
from slacktide.executors.changeover import first_course
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.journal import JournalPlace
from slacktide.executors.ray_process import RayProcess
from slacktide.executors.rules import Rules
from slacktide.executors.store.address import store_in
from slacktide.executors.terms import CampaignSetup, CampaignTerms
from slacktide.ids import CampaignId


@pytest.fixture
def lone(tmp_path, monkeypatch):
    """Have a campaign whose runner has ended and cannot be started again, and a clock that goes on by a minute."""
    clock = iter(range(0, 10_000, 60))
    told: list[str] = []
    monkeypatch.setattr(RayProcess, "_start", lambda _: None)
    monkeypatch.setattr(RayProcess, "_end", lambda _: None)
    monkeypatch.setattr(ray_process.time, "sleep", lambda _: None)
    monkeypatch.setattr(ray_process.time, "monotonic", lambda: float(next(clock)))
    terms = CampaignTerms(SimulationSettings(), Rules())
    journal = JournalPlace(store_in(tmp_path / "journal.sqlite"), CampaignId("c"))
    setup = CampaignSetup(first_course(*planned_fleet()), tmp_path, journal, (AgentPlace("a"),), terms)
    process = RayProcess(setup, 1, told.append)

    def ended(*_):
        raise EOFError

    def no_cluster(_):
        raise ClusterError("Ray", "does not start", "Start it")

    monkeypatch.setattr(process, "_ask", ended)
    monkeypatch.setattr(RayProcess, "_start", no_cluster)
    return process, told


def test_a_head_that_is_gone_is_waited_for_and_then_the_operator_is_told_how_to_go_on(lone) -> None:
    process, told = lone
    for _ in range(5):
        assert process.step(0.25).migrations == 314
    with pytest.raises(ExecutionError, match=r"Ray's head: has not answered for 10 min\. Start its head again .* same"):
        steps(process)
    assert [words for words in told if "does not answer" in words] == [
        "Ray's head does not answer: it is waited for, up to 10 min"
    ]


def test_a_runner_that_ends_again_and_again_is_given_up(lone, monkeypatch) -> None:
    process, _ = lone
    monkeypatch.setattr(RayProcess, "_start", lambda _: None)
    clock = iter(range(10_000))
    monkeypatch.setattr(ray_process.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(ExecutionError, match=r"its process on Ray ended 6 times in a row"):
        steps(process)


def steps(process) -> None:
    for _ in range(20):
        process.step(0.25)
