"""Guests can ask their own host alone: whoever is elsewhere answers none, and says so."""

import pytest

from slacktide.errors import UsageError
from slacktide.executors.connections_file import HostAddress
from slacktide.executors.drivers.libvirt.settings import LibvirtSettings, MetadataSettings
from slacktide.executors.drivers.making import settings_away
from slacktide.executors.drivers.settings import SimulationSettings
from slacktide.executors.maintenance.action import command_action
from slacktide.executors.ray_crew import AGENTS_NAMED, unasked_words
from slacktide.ids import HostId
from slacktide.service.libvirt_run import refuse_unheard_guests


def live(metadata: MetadataSettings | None) -> LibvirtSettings:
    addresses = {HostId(host): HostAddress(f"qemu+tls://{host}/system") for host in ("h1", "h2")}
    return LibvirtSettings(addresses=addresses, maintenance=command_action(("true",)), metadata=metadata)


AT_HOST = live(MetadataSettings())
BESIDE = live(MetadataSettings(namespace="lab-{host}"))


def test_an_agent_away_from_its_host_listens_nowhere() -> None:
    assert settings_away(AT_HOST) == live(None)
    assert settings_away(SimulationSettings()) == SimulationSettings()
    assert settings_away(live(None)) == live(None)


def test_hosts_that_are_namespaces_of_its_machine_are_served() -> None:
    assert settings_away(BESIDE) == BESIDE
    shared = live(MetadataSettings(namespace="lab"))
    assert settings_away(shared) == live(None), "one namespace is that of one host at most"


def test_one_process_for_several_hosts_is_refused_before_anything_is_done() -> None:
    with pytest.raises(UsageError, match="is an address of each of 2 hosts") as refused:
        refuse_unheard_guests(AT_HOST, 2, own_agents=False)
    assert "--metadata-namespace {host}" in refused.value.remedy
    for settings, hosts, own_agents in ((AT_HOST, 2, True), (BESIDE, 2, False), (AT_HOST, 1, False)):
        refuse_unheard_guests(settings, hosts, own_agents=own_agents)
    refuse_unheard_guests(live(None), 2, own_agents=False)


def test_agents_that_answer_nobody_are_named() -> None:
    assert unasked_words(["h1"]).startswith("guests are not told by agent h1: it is on a gateway")
    many = unasked_words([f"h{number}" for number in range(AGENTS_NAMED + 2)])
    assert "h4 and 2 more: " in many
