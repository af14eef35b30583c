"""``slacktide serve`` and ``token``: the HTTP API, and who may use it."""

import getpass
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from slacktide.errors import InputError, UsageError
from slacktide.service.commands.options import AsJson
from slacktide.service.console import document, figures, progress, show, tell
from slacktide.service.failures import OK
from slacktide.service.stores import VARIABLE

if TYPE_CHECKING:
    from slacktide.service.http.settings import ServerSettings
    from slacktide.service.store.database import Database

BALANCED_DRAIN_S: Final = 5.0
"""Balancers ask every second or two, and go by two or three answers in a row."""
RoleName = Literal["viewer", "operator", "admin"]
DataPath = Annotated[
    Path | None, Parameter(name="--data", help="The server's data directory. [default: ~/.local/share/slacktide]")
]
StoreUrl = Annotated[
    str | None, Parameter(name="--store", help="URL of the store. [default: SLACKTIDE_STORE, else a file in the data]")
]


def serve(
    *,
    data: DataPath = None,
    store: StoreUrl = None,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65535))] = 8780,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    behind_proxy: Annotated[bool, Parameter(negative="")] = False,
    anonymous: Literal["none", "viewer", "operator", "admin"] | None = None,
    config: Path | None = None,
    dashboard: Annotated[bool, Parameter(negative="")] = False,
    drain_s: Annotated[float | None, Parameter(validator=Number(gte=0, lte=600))] = None,
) -> int:
    """Serve the HTTP API, on Ray Serve, until SIGTERM or Ctrl-C.

    Nothing else has to run: without options it listens on this machine alone, with its data in a directory of the
    user's. Where RAY_ADDRESS names a cluster it is served there. Campaigns are carried out by processes of their own,
    which go on when the server ends.

    Parameters
    ----------
    host
        Address to listen at. Others than this machine's own need a certificate, or --behind-proxy.
    tls_certificate
        Certificate, and those that signed it, as a PEM file.
    tls_key
        Its key.
    behind_proxy
        A proxy has the certificate; who asks is what it says in X-Forwarded-For.
    anonymous
        What callers on this machine may without a token. [default: viewer; none where others can reach the server]
    config
        YAML or JSON file of what has no option: `oidc`, `limits`, `rates`, `profiles`, `replicas`.
    dashboard
        Have Ray's dashboard too, on this machine's own address; it is printed.
    drain_s
        Seconds for which all is still answered after SIGTERM while `/readyz` says that the server is not ready, so that
        a balancer sends callers elsewhere. [default: 5 behind a proxy, else 0]
    """
    from slacktide.service.http.settings import check_exposure, is_loopback
    from slacktide.service.profile_files import check_profile_files

    local = is_loopback(host) and not behind_proxy
    role = anonymous or ("viewer" if local else "none")
    settings = _settings(
        data,
        store,
        config,
        host=host,
        port=port,
        certificate=tls_certificate,
        key=tls_key,
        behind_proxy=behind_proxy,
        anonymous=None if role == "none" else role,
    )
    check_exposure(settings)
    if config is not None:
        check_profile_files(settings.profiles, config)
    if os.environ.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
        fact = "has Ray Serve listen at every address, and callers seem to be on this machine"
        raise UsageError("RAY_SERVE_ENABLE_HA_PROXY", fact, "Unset it; a proxy of your own goes with --behind-proxy")
    _refuse_taken(settings)
    _database(settings).close()
    url = f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def ready(shown: str | None) -> None:
        places = [("page", f"{url}/page/"), ("data", str(settings.data)), ("description", f"{url}/openapi.json")]
        show(figures([("serving", url), *places]))
        if shown is not None:
            tell(f"Ray's dashboard: http://{shown}; its token: RAY_AUTH_MODE=token ray get-auth-token")
        if settings.anonymous is not None:
            tell(f"without a token callers on this machine are {settings.anonymous}s")
        tell(f"a token: slacktide token create NAME --role operator --data {settings.data}")

    with progress("Starting Ray"):
        from slacktide.service.ray_serving import serve_until_told

    if drain_s is None:
        drain_s = BALANCED_DRAIN_S if behind_proxy else 0.0
    serve_until_told(settings, dashboard=dashboard, ready=ready, drain_s=drain_s)
    tell("the server has ended; campaigns go on")
    return OK


token = App(name="token", help="Tokens for the HTTP API.", help_epilogue="", sort_key=15)


@token.command(sort_key=1)
def create(
    name: Annotated[str, Parameter(help="Whose it is: a person, or a service.")],
    /,
    *,
    role: RoleName,
    days: Annotated[float | None, Parameter(validator=Number(gt=0, lte=3660))] = 90.0,
    forever: Annotated[bool, Parameter(negative="")] = False,
    data: DataPath = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> int:
    """Make a token and print it, this once.

    Parameters
    ----------
    role
        viewer reads; operator uploads fleets, plans, and has campaigns carried out; admin also makes tokens and reads
        the audit log.
    days
        How long it lasts.
    forever
        Until it is revoked.
    """
    from slacktide.service.store.tokens import create_token

    database = _database(_settings(data, store, None))
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    made, text = create_token(database, name, role, by, None if forever or days is None else days * 86_400)
    database.close()
    if as_json:
        document({**made._asdict(), "token": text})
    else:
        show(text)
        tell(f"{made.role}, until {made.expires_at or 'it is revoked'}; it is shown this once")
    return OK


@token.command(name="list", sort_key=2)
def list_all(*, data: DataPath = None, store: StoreUrl = None, as_json: AsJson = False) -> int:
    """List tokens, without their secrets."""
    from slacktide.service.store.tokens import list_tokens

    database = _database(_settings(data, store, None))
    found = list_tokens(database)
    database.close()
    if as_json:
        document([each._asdict() for each in found])
        return OK
    for each in found:
        until = f"revoked {each.revoked_at}" if each.revoked_at else f"until {each.expires_at or 'revoked'}"
        show(figures([(each.token_id, each.role, f"{each.name}; {until}")]))
    if not found:
        tell("no token")
    return OK


@token.command(sort_key=3)
def revoke(
    token_id: Annotated[str, Parameter(name="ID", help="Id of a token.")],
    /,
    *,
    data: DataPath = None,
    store: StoreUrl = None,
) -> int:
    """Have a token be valid no more, at once."""
    from slacktide.service.store.tokens import revoke_token

    database = _database(_settings(data, store, None))
    known = revoke_token(database, token_id)
    database.close()
    if not known:
        raise UsageError(f"token {token_id}", "is not there", "See `slacktide token list`")
    show(f"token {token_id} is revoked")
    return OK


def default_data() -> Path:
    """Return where data is unless it is said otherwise."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "slacktide"


def _settings(data: Path | None, store: str | None, config: Path | None, **given: Any) -> "ServerSettings":  # noqa: ANN401
    """Return the settings of options and file.

    Raises
    ------
    UsageError, InputError
        If they contradict each other, or the file is not right.
    """
    from pydantic import ValidationError

    from slacktide.planner.strict_files import FileKind, read_fields
    from slacktide.service.http.oidc import check_issuer
    from slacktide.service.http.settings import ServerSettings
    from slacktide.service.wrong_fields import wrong_field

    kind = FileKind(
        "configuration", "config-file", "Write fields such as `oidc:` and beneath it `issuer` and `audience`"
    )
    fields: dict[str, Any] = {} if config is None else read_fields(config, kind)[0]
    if strange := sorted(fields.keys() - {"oidc", "limits", "rates", "profiles", "replicas"}):
        fact = f"`{strange[0]}` is none of oidc, limits, rates, profiles, replicas"
        raise InputError(str(config), fact, "Remove it, or give it as an option")
    url = store or os.environ.get(VARIABLE) or None
    try:
        folder, address = (data or default_data()).resolve(), os.environ.get("RAY_ADDRESS") or None
        settings = ServerSettings(data=folder, store_url=url, ray_address=address, **given, **fields)
    except ValidationError as error:
        raise InputError(str(config or "options"), *wrong_field(error, ServerSettings)) from None
    if settings.oidc is not None:
        try:
            check_issuer(settings.oidc)
        except ValueError as error:
            raise InputError(str(config), f"oidc.issuer: {error}", "Give one that begins with https://") from None
    return settings


def _database(settings: "ServerSettings") -> "Database":
    from slacktide.service.http.server import open_places

    return open_places(settings)[1]


def _refuse_taken(settings: "ServerSettings") -> None:
    """Refuse an address that somebody listens at already: Ray says so late, and in many words."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            fact = f"cannot be listened at: {error.strerror}"
            raise UsageError(f"{settings.host}:{settings.port}", fact, "Give another --port or --host") from error
