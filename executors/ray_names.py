"""The names of actors, tasks and drivers, as ``ray list actors``, ``tasks`` and ``jobs`` show them to an operator."""

from typing import Final

import ray

from slacktide.executors.agents import AgentPlace
from slacktide.ids import CampaignId

CALLS: Final = {"turn": "turn", "take_over": "take-over"}
"""What each of an agent's calls is called."""


def coordinator_name(campaign: CampaignId) -> str:
    """Return the name of a campaign's coordinator."""
    return f"coordinator of campaign {campaign}"


def step_name(campaign: CampaignId) -> str:
    """Return the name of the task in which a coordinator goes on for a moment."""
    return f"step of campaign {campaign}"


def agent_name(place: AgentPlace, campaign: CampaignId) -> str:
    """Return the name of an agent: by its host, or where it stands for many, by its number."""
    agent = f"agent {place.name}" if place.host is None else f"agent of host {place.host}"
    return f"{agent}, campaign {campaign}"


def call_name(method: str, agent: str) -> str:
    """Return the name of the task in which an agent, known as ``agent``, is asked to do ``method``."""
    return f"{CALLS[method]} of agent {agent}"


def job_name(campaign: CampaignId) -> str:
    """Return the name of what the process does that has a campaign carried out."""
    return f"campaign {campaign}"


def entitle(campaign: CampaignId) -> None:
    """Give that process the title by which ``ps`` shows it.

    Ray is to be connected by then: what it takes for the entry point of a job is a process's command line, of which a
    title leaves a tail of empty words.
    """
    ray._raylet.setproctitle(f"slacktide: {job_name(campaign)}")  # type: ignore[attr-defined]
