"""How the server is run: where its data is, where it listens, whom it trusts and what it takes."""

import ipaddress
import secrets
from pathlib import Path
from typing import Final

from limits import parse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from slacktide.errors import UsageError
from slacktide.service.campaign_terms import Profile
from slacktide.service.store.tokens import Role

LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8780


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Oidc(_Part):
    """An OpenID provider whose tokens are taken."""

    issuer: str = Field(pattern=r"^https?://[^\s]+$")
    """As it stands in the tokens; its discovery document is beneath."""
    audience: str = Field(min_length=1)
    """What tokens for this server name as theirs."""
    role_claim: str = "slacktide_role"
    """Claim that holds a role, or a list with some; dots go into nested claims."""
    roles: dict[str, Role] = {}
    """Roles by other names that the claim may hold, such as groups."""


class Limits(_Part):
    """What one request may ask for."""

    body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """JSON: a request that names 200,000 hosts has 5 MiB."""
    upload_bytes: int = Field(default=512 * 2**20, ge=1024)
    """A fleet of 100,000 hosts and 1,300,000 VMs has 40 MiB."""
    upload_rows: int = Field(default=10_000_000, ge=1)
    """Rows in one table of a fleet."""
    upload_memory_bytes: int = Field(default=8 * 2**30, ge=2**29)
    """Address space of the process that reads an upload: what unpacks to more is refused."""
    upload_cpu_s: int = Field(default=300, ge=1)
    uploads: int = Field(default=2, ge=1)
    """Processes that read uploads at once, for each replica; others wait."""
    streams: int = Field(default=256, ge=1)
    """Event streams at once, for each replica."""
    streams_each: int = Field(default=64, ge=1)
    """Those of one caller, each browser tab has one: three who take all they may leave room for others."""
    exports: int = Field(default=8, ge=1)
    """Tables sent as files at once, for each replica: what a reader has not taken yet waits in memory."""


class Rates(_Part):
    """How often one caller may ask, in the notation of the library `limits`, for each replica."""

    reads: str = "200/second"
    changes: str = "20/second"
    creations: str = "60/minute"
    """Uploads, jobs and campaigns."""
    refusals: str = "30/minute"
    """Credentials that were wrong, from one address; after these it is not listened to for the rest of the minute."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_rate(cls, value: object) -> object:
        """Refuse what is no number of calls in a time."""
        try:
            if isinstance(value, str) and parse(value):
                return value
        except ValueError:
            pass
        raise ValueError('is no rate; write how many in which time, such as "200/second", "60/minute" or "10/2 hours"')


class ServerSettings(_Part):
    """Everything that a replica has to know."""

    data: Path
    store_url: SecretStr | None = None
    """Null: a SQLite file in ``data``."""
    host: str = LOOPBACK
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535)
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    """A proxy in front of the server has the certificate; who asks is what it says in X-Forwarded-For."""
    anonymous: Role | None = None
    """Role of whoever asks from this machine without credentials."""
    oidc: Oidc | None = None
    profiles: dict[str, Profile] = {}
    """What reaches real hosts, by name."""
    ray_address: str | None = None
    """Cluster that the server is served on, as RAY_ADDRESS names it; null: one of its own, which ends with it."""
    replicas: int = Field(default=1, ge=1, le=64)
    limits: Limits = Limits()
    rates: Rates = Rates()
    instance: str = Field(default_factory=lambda: secrets.token_hex(8))
    """Tells this server's replicas from those of others on the same data."""

    @property
    def scheme(self) -> str:
        """``https`` where there is a certificate."""
        return "http" if self.certificate is None else "https"


def check_exposure(settings: ServerSettings) -> None:
    """Refuse to listen to others than this machine without encryption or to whoever asks.

    Raises
    ------
    UsageError
        If that is asked for.
    """
    if (settings.certificate is None) != (settings.key is None):
        raise UsageError("--tls-certificate", "needs --tls-key, and the other way round", "Give both or neither")
    for file in (settings.certificate, settings.key):
        if file is not None and not file.is_file():
            raise UsageError(str(file), "there is no such file", "Give the certificate and its key as PEM files")
    if is_loopback(settings.host) and not settings.behind_proxy:
        return
    if settings.anonymous is not None:
        where = "behind a proxy" if settings.behind_proxy else f"at {settings.host}"
        fact = f"lets anybody in who reaches the server {where}"
        raise UsageError("--anonymous", fact, "Leave it out and give tokens: `slacktide token create`")
    if settings.certificate is None and not settings.behind_proxy:
        fact = "would be reached by others, with tokens that everybody on the way can read"
        remedy = "Give --tls-certificate and --tls-key, or --behind-proxy where a proxy has the certificate"
        raise UsageError(f"--host {settings.host}", fact, remedy)


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own; a name is only if it is localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
