"""Bearer tokens of an OpenID provider: its keys by discovery, then signature, times, issuer, audience and role."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import httpx
import jwt

from slacktide.service.http.problems import ApiError
from slacktide.service.http.settings import Oidc, is_loopback
from slacktide.service.store.tokens import ROLES, Role

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key alone: a shared secret cannot be checked by whoever cannot also forge it."""
KEPT_S: Final = 3600.0
"""How long keys are kept: a key that is taken back is good for an hour at most."""
AGAIN_S: Final = 30.0
"""How often keys are fetched for a key that is not known: a provider that changes keys tells so in its document."""
TIMEOUT_S: Final = 5.0
"""How long the provider may be silent."""
DEADLINE_S: Final = 10.0
"""How long it may take in all: one that sends a byte now and then is never silent."""
MOST_WAITING: Final = 8
"""Calls that wait at once until the first keys are there: each holds a thread that others could have."""
LEEWAY_S: Final = 30
MOST_BYTES: Final = 2**20
_NO_KEYS: Final = (
    *(httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, OSError),
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
)
"""What comes of a provider that is away, or answers with something else than keys."""
_HEADERS: Final = {"WWW-Authenticate": 'Bearer realm="slacktide", error="invalid_token"'}


class OidcKeys:
    """Checks tokens with the provider's keys, which are fetched as they are needed."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._fetching = threading.Lock()
        """Held by who asks the provider; never waited for by who finds the key among those that are known."""
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._known = _Known({}, -math.inf)
        self._asked_s = -math.inf
        self._failure: str | None = None
        """Why the provider could not be asked the last time."""

    def check(self, token: str) -> tuple[str, Role]:
        """Return the subject and the role of a token.

        Raises
        ------
        ApiError
            401 if it is not valid, 403 if it has no role, 503 if the provider does not answer.
        """
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
            fact = f"its token is not valid: {str(error).lower()}"
            raise ApiError(401, "unauthorized", "Authorization", fact, "Get a new token", _HEADERS) from error
        return _plain(str(claims["sub"]))[:150], self._role(claims)

    def _role(self, claims: dict[str, Any]) -> Role:
        """Return the highest role that the claim names."""
        value: Any = claims
        for part in self._settings.role_claim.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        named = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        known = {role: role for role in ROLES} | self._settings.roles
        found = {known[name] for name in named if isinstance(name, str) and name in known}
        for role in reversed(ROLES):
            if role in found:
                return role
        fact = f"its token's claim {self._settings.role_claim} names no role of this server"
        remedy = f"Have the provider put one of {', '.join(ROLES)} into it, or map its groups to roles"
        raise ApiError(403, "forbidden", "Authorization", fact, remedy)

    def _key(self, name: str) -> jwt.PyJWK:
        found = self._known.key(name)
        if found is None:
            self._ask(name)
            found = self._known.key(name)
        if found is not None:
            return found
        if self._failure is not None:
            raise _away(f"cannot be asked for its keys: {self._failure}", AGAIN_S)
        raise jwt.InvalidKeyError("its key is none of the provider's")

    def _ask(self, name: str) -> None:
        """Fetch the keys, unless that was tried a moment ago; while another does, wait only if there are none."""
        if self._known.is_fresh():
            if not self._fetching.acquire(blocking=False):
                raise _away("is being asked for its keys", 2)
        else:
            self._wait()
        try:
            if self._known.key(name) is None and time.monotonic() - self._asked_s > AGAIN_S:
                self._fetch()
        finally:
            self._fetching.release()

    def _wait(self) -> None:
        if not self._waiting.acquire(blocking=False):
            raise _away("is being asked for its keys, and as many calls as may wait for them", 2)
        try:
            self._fetching.acquire()
        finally:
            self._waiting.release()

    def _fetch(self) -> None:
        try:
            keys = _fetched_in_time(self._settings.issuer)
            self._known, self._failure = _Known(keys, time.monotonic()), None
        except TimeoutError:
            self._failure = "it takes too long"
        except _NO_KEYS as error:
            self._failure = str(error) or type(error).__name__
        finally:
            self._asked_s = time.monotonic()


def _away(fact: str, again_s: float) -> ApiError:
    remedy = "Try again; see to the provider, and to the way there from the server"
    return ApiError(503, "provider", "OpenID provider", fact, remedy, {"Retry-After": f"{again_s:.0f}"})


class _Known(NamedTuple):
    """Keys by their ids, and when they were fetched."""

    keys: Mapping[str, jwt.PyJWK]
    at_s: float

    def is_fresh(self) -> bool:
        return time.monotonic() - self.at_s <= KEPT_S

    def key(self, name: str) -> jwt.PyJWK | None:
        return self.keys.get(name) if self.is_fresh() else None


def _fetched_in_time(issuer: str) -> dict[str, jwt.PyJWK]:
    """Return the same as :func:`_fetched` from a thread of its own: a loop waits for the names that it looks up."""
    found: Future[dict[str, jwt.PyJWK]] = Future()

    def fetch() -> None:
        try:
            found.set_result(asyncio.run(_fetched(issuer)))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=fetch, name="asking the OpenID provider", daemon=True).start()
    return found.result(DEADLINE_S)


async def _fetched(issuer: str) -> dict[str, jwt.PyJWK]:
    """Return the provider's keys; each call in a loop of its own, which lets it be cut off wherever it is."""
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
        found = await _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise ValueError("it names another issuer")
        keys = await _json(client, _safe(str(found["jwks_uri"])))
    return {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys).keys if isinstance(key.key_id, str)}


def _plain(text: str) -> str:
    """Return a text as every store takes it: without NUL and halves of characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def check_issuer(settings: Oidc) -> None:
    """Refuse a provider whose keys anybody on the way could change; errors as :func:`_safe`."""
    _safe(settings.issuer)


def _safe(url: str) -> str:
    """Return a URL that is encrypted, or on this machine.

    Raises
    ------
    ValueError
        If it is neither.
    """
    parsed = httpx.URL(url)
    if parsed.scheme != "https" and not is_loopback(parsed.host):
        raise ValueError(f"{parsed.scheme}://{parsed.host} is not encrypted")
    return url


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        content = b""
        async for piece in answer.aiter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise ValueError("its answer is too long")
    data = json.loads(content)
    if not isinstance(data, dict):
        raise ValueError("its answer is no JSON object")
    return data
