"""Agents, nodes, the coordinator, the head and the command itself end in the middle of a campaign, which goes on."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_commands import Running, assert_done_once, small_campaign
from kill_matrix import KINDS, QUICK_KINDS, Row, killed, table
from ray_cluster import TITLES, RayCluster, kill_all, ours, ray_cluster, until, words_of

pytestmark = pytest.mark.integration
PACE = 18.0
"""Simulated seconds in one: a migration takes two seconds, a patch half a minute."""
FAST = 30.0
KILLS = int(os.environ.get("SLACKTIDE_KILLS", "0"))
"""How much is killed at random, of every kind; by default little, and what is soon made up for."""
FEW = 3
SEED = int(os.environ.get("SLACKTIDE_KILL_SEED", "1"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    with ray_cluster(tmp_path_factory.mktemp("r"), ["h1", "h2"], RAY_AUTH_MODE="disabled") as made:
        yield made


@pytest.fixture
def running(cluster: RayCluster, tmp_path: Path) -> Iterator[Running]:
    with small_campaign(tmp_path, cluster.address, cluster.environment, PACE) as begun:
        yield begun


def test_a_campaign_goes_on_whatever_ends(cluster: RayCluster, running: Running) -> None:
    # An agent in the middle of its host's migrations.
    running.until_told("brownout-started", "m1")
    agent = until(lambda: cluster.actor("HostAgentActor", "h1"), 5, "there is an agent on h1's node")
    kill_all([agent])
    away = running.until_told("agent-away", "h1")
    running.until_told("agent-back", "h1", after=away.number)
    assert cluster.actor("HostAgentActor", "h1") not in (None, agent)

    # The node of a host that is being patched goes, and comes back.
    running.until_told("patch-started", "h1")
    cluster.end_node("h1")
    running.until_said("agent h1: ")
    running.until_said("its host is being patched: it is expected back")
    away = running.until_told("agent-away", "h1", after=away.number)
    cluster.start_node("h1")
    running.until_told("agent-back", "h1", after=away.number)
    assert cluster.actor("HostAgentActor", "h1") is not None, "it is on its node again"
    running.until_told("host-returned", "h1", 90)

    # Ctrl-C, and the same command again.
    assert running.interrupt() == 130
    assert "the same command goes on" in running.words[-1]
    until(lambda: cluster.actor("HostAgentActor") is None, 20, "no agent is left")
    assert cluster.actor("CampaignCoordinator") is None
    running.start()
    resumed = running.until_told("campaign-resumed")

    # The node of a host that is being drained, for good: a gateway takes over.
    running.until_told("brownout-started", "m4", 90)
    cluster.end_node("h2")
    away = running.until_told("agent-away", "h2")
    running.until_told("agent-back", "h2", after=away.number)

    # The coordinator, with a migration under way.
    running.until_told("brownout-started", "m5", 90)
    kill_all([until(lambda: cluster.actor("CampaignCoordinator"), 5, "there is a coordinator")])
    resumed = running.until_told("campaign-resumed", after=resumed.number)
    running.until_said("the coordinator's process ended; another goes on from the journal")

    # The head, with two hosts being patched.
    running.until_told("patch-started", "h4", 90)
    cluster.end_head()
    running.until_said("Ray's head does not answer: it is waited for", 90)
    until(lambda: not any(words_of(one)[0].endswith("/raylet") for one in ours(cluster.folder)), 60, "nodes end too")
    cluster.nodes.clear()
    cluster.start_head()
    running.until_said("the campaign goes on from its journal", 90)
    running.until_told("campaign-resumed", after=resumed.number)
    assert running.end() == 0, running.words
    assert_done_once(running)
    assert not [one for one in ours(cluster.folder) if words_of(one)[0].startswith(TITLES["HostAgentActor"])]


def test_what_ends_at_random_moments_is_made_up_for(cluster: RayCluster, tmp_path: Path) -> None:
    """A row for every kill: what, when, and how long until the journal says that it was made up for."""
    rng = random.Random(SEED)
    rows: list[Row] = []
    kills, among = (KILLS, sorted(KINDS)) if KILLS else (FEW, sorted(QUICK_KINDS))
    for host in {"h1", "h2"} - cluster.nodes.keys():
        cluster.start_node(host)
    while len(rows) < kills:
        folder = tmp_path / str(len(rows))
        folder.mkdir()
        with small_campaign(folder, cluster.address, cluster.environment, PACE if KILLS else FAST) as running:
            running.until_told("campaign-created")
            time.sleep(rng.uniform(1.0, 6.0))
            while len(rows) < kills and not running.finished():
                rows.append(killed(rng.choice(among), cluster, running, rng))
                time.sleep(rng.uniform(1.0, 6.0))
            assert running.end() == 0, running.words
            assert_done_once(running)
    print(f"\n{table(rows)}")  # noqa: T201  (the table is what this test is for)
