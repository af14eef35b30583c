"""Bearer tokens of an OpenID provider: its keys by discovery, then signature, times, issuer, audience and role."""

import json
import threading
import time
from typing import Any, Final

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
LEEWAY_S: Final = 30
MOST_BYTES: Final = 2**20
_HEADERS: Final = {"WWW-Authenticate": 'Bearer realm="slacktide", error="invalid_token"'}


class OidcKeys:
    """Checks tokens with the provider's keys, which are fetched as they are needed."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_s = -float("inf")

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
        except jwt.PyJWTError as error:
            fact = f"its token is not valid: {str(error).lower()}"
            raise ApiError(401, "unauthorized", "Authorization", fact, "Get a new token", _HEADERS) from error
        return str(claims["sub"])[:150], self._role(claims)

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
        with self._lock:
            age_s = time.monotonic() - self._fetched_s
            if age_s > KEPT_S or (name not in self._keys and age_s > AGAIN_S):
                self._keys = self._fetched()
                self._fetched_s = time.monotonic()
            if name not in self._keys:
                raise jwt.InvalidKeyError("its key is none of the provider's")
            return self._keys[name]

    def _fetched(self) -> dict[str, jwt.PyJWK]:
        issuer = self._settings.issuer
        try:
            with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client:
                found = _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != issuer:
                    raise ValueError("it names another issuer")
                keys = _json(client, _safe(str(found["jwks_uri"])))
            return {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys).keys if key.key_id}
        except (httpx.HTTPError, ValueError, KeyError, jwt.PyJWTError) as error:
            fact = f"cannot be asked for its keys: {error}"
            remedy = "Try again; see to the provider, and to the way there from the server"
            raise ApiError(503, "provider", "OpenID provider", fact, remedy, {"Retry-After": "10"}) from error


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


def _json(client: httpx.Client, url: str) -> dict[str, Any]:
    with client.stream("GET", url) as answer:
        answer.raise_for_status()
        content = b""
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise ValueError("its answer is too long")
    data = json.loads(content)
    if not isinstance(data, dict):
        raise ValueError("its answer is no JSON object")
    return data
