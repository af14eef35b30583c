"""Which server a command asks, and as whom: the address, the token, the certificates that are trusted.

A token is a secret.  It is read from the environment or a file, never from the command line, which every user of the
machine sees, and it is sent to nobody off this machine who could not keep it to themselves.
"""

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from slacktide.errors import UsageError
from slacktide.service.console import tell

SERVER_VARIABLE: Final = "SLACKTIDE_SERVER"
TOKEN_VARIABLE: Final = "SLACKTIDE_TOKEN"
CA_VARIABLE: Final = "SLACKTIDE_CA_FILE"
HERE: Final = "local"
"""Given as a server it means none: this machine does the work, whatever the environment names."""


@dataclass(frozen=True, slots=True)
class Access:
    """A server, and what it takes to be heard there."""

    url: str
    token: str | None = field(repr=False)
    """Null: the server may know callers on its own machine without one."""
    ca_file: Path | None
    """Certificates that are trusted; null: those that the machine trusts."""

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_loopback(urlsplit(self.url).hostname or "")

    def trusted(self) -> ssl.SSLContext:
        """Return what the server's certificate is checked against.

        Raises
        ------
        UsageError
            If the file of certificates is none.
        """
        if self.ca_file is None:
            return ssl.create_default_context()
        try:
            return ssl.create_default_context(cafile=str(self.ca_file))
        except (OSError, ssl.SSLError) as error:
            fact = f"holds no certificates that can be read: {error}"
            raise UsageError(str(self.ca_file), fact, "Give a PEM file: --ca-file") from error


def server_named(given: str | None) -> str | None:
    """Return the address of the server that an option or the environment names; None: this machine does the work."""
    url = given if given is not None else os.environ.get(SERVER_VARIABLE) or None
    return None if url == HERE else url


def access_to(url: str, token_file: Path | None, ca_file: Path | None) -> Access:
    """Return the access to a server, with the token that is found.

    Raises
    ------
    UsageError
        If the address is none, names credentials, or would have the token sent for others to read.
    """
    scheme = _scheme(url)
    ca = os.environ.get(CA_VARIABLE)
    access = Access(url.rstrip("/"), _token(token_file), ca_file or (Path(ca) if ca else None))
    if access.token is not None and scheme != "https" and not access.is_local:
        fact = "is asked without TLS, and whoever is on the way could read the token"
        raise UsageError(url, fact, "Give its https:// address; for a certificate of your own there is --ca-file")
    return access


def _scheme(url: str) -> str:
    """Return the scheme of a server's address."""
    shown = re.sub(r"//[^/]*@", "//...@", url)
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"--server {shown}", "is no address of a server", "Give one such as https://slacktide.example")
    if parts.username is not None or parts.password is not None:
        remedy = f"Leave them out, and give a token in {TOKEN_VARIABLE} or a file: --token-file"
        raise UsageError(f"--server {shown}", "names a user or password, for everybody on this machine to see", remedy)
    if parts.query or parts.fragment:
        raise UsageError(f"--server {shown}", "has more than an address", "Leave out what begins with ? or #")
    return parts.scheme


def _token(file: Path | None) -> str | None:
    """Return the token of the environment, of the file that is given, or of the user's own file; None: none."""
    if file is None:
        if text := os.environ.get(TOKEN_VARIABLE):
            return _sound(text, TOKEN_VARIABLE)
        file = token_place()
        if not file.is_file():
            return None
    try:
        text = file.read_text(encoding="ascii")
        open_to_others = file.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(str(file), f"cannot be read: {reason}", "Give the file that holds the token") from error
    if open_to_others:
        tell(f"{file} can be read by other users of this machine: chmod 600 {file}")
    return _sound(text, str(file))


def _sound(text: str, place: str) -> str:
    token = text.strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise UsageError(place, "holds no token", "Have one made: `slacktide token create NAME --role operator`")
    return token


def token_place() -> Path:
    """Return the file of the user's own token."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "slacktide" / "token"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
