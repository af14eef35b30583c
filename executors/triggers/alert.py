"""Alertmanager's webhook, version 4: what it says of hosts.

Source: Prometheus, "Alerting: configuration, <webhook_config>".  Fields that later releases add are passed over.
"""

import re
from typing import Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from slacktide.errors import InputError
from slacktide.findings import Finding

VERSION: Final = "4"
_PORT: Final = re.compile(r"^(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:]+))(?::\d+)?$")


class Alert(BaseModel):
    """One alert of a delivery."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: AwareDatetime  # noqa: N815  (its name on the wire)
    fingerprint: str = Field(min_length=1)
    generatorURL: str = ""  # noqa: N815

    @model_validator(mode="after")
    def _storable(self) -> "Alert":
        texts = (self.fingerprint, self.generatorURL, *self.labels.values(), *self.annotations.values())
        if any("\0" in text for text in texts):
            raise ValueError("it has a null character, which databases do not keep")
        return self


class Delivery(BaseModel):
    """What Alertmanager posts."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal["4"]
    groupKey: str = ""  # noqa: N815
    receiver: str = ""
    externalURL: str = ""  # noqa: N815
    alerts: tuple[Alert, ...]


class HostAlert(NamedTuple):
    """An alert and the host that it names."""

    alert: Alert
    host: str | None
    """Null: its label is missing."""


def parse_delivery(body: bytes) -> Delivery:
    """Return a delivery.

    Raises
    ------
    InputError
        If it is none; the findings name each field.
    """
    try:
        return Delivery.model_validate_json(body)
    except ValidationError as error:
        findings = tuple(
            Finding("alert-field", f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}", "Send version 4 of it")
            for fault in error.errors(include_url=False, include_input=False)
        )
        remedy = "Point a `webhook_configs` of Alertmanager here, and nothing else"
        raise InputError("delivery", "is not what Alertmanager's webhook sends", remedy, findings) from error


def host_of(alert: Alert, label: str, *, strip_port: bool = True, strip_domain: bool = False) -> str | None:
    """Return the host that an alert names by a label, without its port and, if so wanted, its domain."""
    value = alert.labels.get(label, "").strip()
    if not value:
        return None
    if strip_port:
        found = _PORT.match(value)
        value = (found["v6"] or found["name"]) if found else value
    is_address = bool(re.fullmatch(r"[\d.]+|.*:.*", value))
    return value.split(".")[0] if strip_domain and not is_address else value


def matches(alert: Alert, wanted: dict[str, tuple[str, ...]]) -> bool:
    """Return whether an alert has one of the values that are wanted of every label."""
    return all(alert.labels.get(name) in values for name, values in wanted.items())
