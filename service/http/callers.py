"""Who asks: by token, by an OpenID provider's word, or from this machine without credentials."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from slacktide.service.http.oidc import OidcKeys
from slacktide.service.http.problems import ApiError
from slacktide.service.http.settings import ServerSettings, is_loopback
from slacktide.service.store.database import Database
from slacktide.service.store.tokens import Role, find_token, is_token

ANONYMOUS: Final = "anonymous"
_SCHEME: Final = {"WWW-Authenticate": 'Bearer realm="slacktide"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may."""

    who: str
    role: Role


class Callers:
    """Knows callers by what they bring."""

    def __init__(self, settings: ServerSettings, database: Database, oidc: OidcKeys | None) -> None:
        self._settings, self._database, self._oidc = settings, database, oidc

    def identify(self, request: Request) -> Caller:
        """Return who asks; blocking.

        Raises
        ------
        ApiError
            401, if credentials are missing or wrong.
        """
        header = request.headers.get("authorization")
        if header is None:
            return self._unnamed(request)
        scheme, _, credentials = header.partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "bearer" or not credentials:
            raise _refused("is not `Bearer` and a token", "invalid_request")
        if is_token(credentials):
            token = find_token(self._database, credentials)
            if token is None:
                raise _refused("its token is not known, has expired or was revoked", "invalid_token")
            return Caller(f"token:{token.token_id} ({token.name})", token.role)
        if self._oidc is None:
            raise _refused("its token is none of this server's, and no OpenID provider is set", "invalid_token")
        subject, role = self._oidc.check(credentials)
        return Caller(f"oidc:{subject}", role)

    def _unnamed(self, request: Request) -> Caller:
        """Let in who asks from this machine, where that is allowed; not a web page that a browser here has open."""
        role = self._settings.anonymous
        if role is not None and _is_local(request, self._settings):
            return Caller(ANONYMOUS, role)
        remedy = "Send `Authorization: Bearer TOKEN`; whoever runs the server makes one: `slacktide token create`"
        raise ApiError(401, "unauthorized", "request", "brings no credentials", remedy, _SCHEME)


def address_of(request: Request, settings: ServerSettings) -> str:
    """Return the address that a request comes from, as far as is known.

    A proxy adds it at the end, whether to the header that there is or as one more; what is before it anybody may send.
    """
    if settings.behind_proxy and (forwarded := ",".join(request.headers.getlist("x-forwarded-for"))):
        return forwarded.rpartition(",")[2].strip()[:60]
    return request.client.host if request.client is not None else "unknown"


def _is_local(request: Request, settings: ServerSettings) -> bool:
    """Return whether a request was made on this machine, to this machine, and by no page of another site.

    A page's script reaches the server too: by its own name for 127.0.0.1, or without reading the answer.  The first
    shows in Host, the second in Origin.
    """
    if not is_loopback(settings.host) or not is_loopback(address_of(request, settings)):
        return False
    if "forwarded" in request.headers or "x-forwarded-for" in request.headers:
        return False
    origin = request.headers.get("origin")
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return False
    except ValueError:  # one of them is no address at all
        return False
    return is_loopback(host) and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _refused(fact: str, code: str) -> ApiError:
    headers = {"WWW-Authenticate": f'Bearer realm="slacktide", error="{code}"'}
    return ApiError(401, "unauthorized", "Authorization", fact, "Send a token that is valid now", headers)
