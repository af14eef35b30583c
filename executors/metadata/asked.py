"""What a guest asks, from the parts of its request; pure.

The manners are those of public clouds' metadata services, so that agents written for these find what they know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

FLAVOR: Final = "Metadata-Flavor"
OWN_HEADER: Final = "Slacktide-Metadata"
FORWARDED: Final = "X-Forwarded-For"
LONGEST_WAIT_S: Final = 300.0
"""How long an answer may be waited for: after it the guest asks again, and a connection that its migration has cut is
not kept for ever."""


class Resource(Enum):
    """What there is to ask for."""

    EVENT = "maintenance-event"
    UPCOMING = "upcoming-maintenance"
    ACKNOWLEDGE = "acknowledge"


PATHS: Final = {
    "/slacktide/v1/maintenance-event": Resource.EVENT,
    "/slacktide/v1/upcoming-maintenance": Resource.UPCOMING,
    "/slacktide/v1/acknowledge": Resource.ACKNOWLEDGE,
    "/computeMetadata/v1/instance/maintenance-event": Resource.EVENT,
}
_TRUE: Final = ("true", "1")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that can be answered."""

    resource: Resource
    wait_s: float | None = None
    """How long to wait for a change; null: not at all."""
    last_etag: str | None = None
    """What the guest has heard last; null: it waits for what differs from now."""
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A question that is not answered."""

    status: int
    text: str


def asked(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked | Refused:
    """Return what is asked; ``headers`` finds them whatever their case.

    Who asks has to add a header, which a guest's web server that is tricked into asking, and a browser, do not; what
    came through a proxy is refused for the same reason.
    """
    resource = PATHS.get(path)
    if resource is None:
        return Refused(404, "There is no such thing here.\n")
    if headers.get(FLAVOR) not in ("Google", "Slacktide") and headers.get(OWN_HEADER) != "true":
        return Refused(403, f"Add the header {FLAVOR}: Google or {OWN_HEADER}: true.\n")
    if FORWARDED in headers:
        return Refused(403, f"Ask without {FORWARDED}.\n")
    if method != ("POST" if resource is Resource.ACKNOWLEDGE else "GET"):
        return Refused(405, "GET what is told, POST to acknowledge.\n")
    if resource is Resource.ACKNOWLEDGE:
        return Asked(resource)
    return _read(resource, query)


def _read(resource: Resource, query: Mapping[str, str]) -> Asked | Refused:
    as_json = resource is Resource.UPCOMING or query.get("alt") == "json"
    if query.get("wait_for_change", "").lower() not in _TRUE:
        return Asked(resource, as_json=as_json)
    given = query.get("timeout_sec")
    if given is not None and not (given.isascii() and given.isdigit()):
        return Refused(400, "timeout_sec is a whole number of seconds.\n")
    wait_s = LONGEST_WAIT_S if given is None else min(float(given), LONGEST_WAIT_S)
    return Asked(resource, wait_s, query.get("last_etag"), as_json)
