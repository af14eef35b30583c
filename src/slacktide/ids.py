"""Identifiers as types, so that a VM is never passed where a host is meant."""

from typing import NewType

HostId = NewType("HostId", str)
VmId = NewType("VmId", str)
ServiceId = NewType("ServiceId", str)
DomainId = NewType("DomainId", str)
NodeId = NewType("NodeId", str)
"""A node of the topology: a host's id or a switch's name."""
MigrationId = NewType("MigrationId", str)
PlanId = NewType("PlanId", str)
CampaignId = NewType("CampaignId", str)
