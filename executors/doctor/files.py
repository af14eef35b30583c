"""Certificates and keys in files, and the disk that something is on."""

import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from slacktide.executors.certificates import names, reasons
from slacktide.executors.doctor.check import Area, Check
from slacktide.executors.presence import is_hidden, is_missing

SOON: Final = timedelta(days=30)
"""A certificate that expires within it is told of: time to make new ones in working hours and bring them everywhere."""
LITTLE_BYTES: Final = 2 * 2**30
"""Free space below which a warning is due: the journal and tables of a night of 10,000 hosts take some 300 MiB."""
NONE_BYTES: Final = 64 * 2**20
"""Free space below which nothing can be relied upon: a large batch and its write-ahead log take some MiB."""


class Pair(NamedTuple):
    """A certificate, its key and the authorities that are to have signed it."""

    what: str
    certificate: Path
    key: Path
    authority: Path | None
    """Null: who connects decides whom it trusts."""


def pair_checks(area: Area, pair: Pair, wanted: Sequence[str] = (), readers: Sequence[str] = ()) -> Iterator[Check]:
    """Yield what is wrong with a certificate in a file and its key, or one check that nothing is.

    Parameters
    ----------
    wanted
        Names or addresses that it is to be for, one of them at least; empty: none.
    readers
        Groups that may read the key beside its owner, such as ``kvm``.
    """
    made = "Make it anew, as docs/deploy.md says, and restart what shows it"
    files = [pair.certificate, pair.key, *([] if pair.authority is None else [pair.authority])]
    if unread := [path for path in files if not os.access(path, os.R_OK)]:
        for path in unread:
            if is_missing(path):
                yield Check(area, pair.what, "error", f"{path} is not there", "Put it there")
            else:
                yield unread_check(area, pair.what, path)
        return
    try:
        own = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        trusted = None if pair.authority is None else x509.load_pem_x509_certificates(pair.authority.read_bytes())
        key = load_pem_private_key(pair.key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        yield Check(area, pair.what, "error", f"{pair.certificate} or {pair.key} cannot be read: {error}", made)
        return
    found = list(_wrong(area, pair, own, trusted, wanted))
    if _public(key.public_key()) != _public(own.public_key()):
        fact = f"{pair.key} is not the key of {pair.certificate}"
        found.append(Check(area, pair.what, "error", fact, "Put the pair there that was made together"))
    found += secret_checks(area, pair.what, pair.key, readers)
    yield from found or [Check(area, pair.what, "ok", f"{pair.certificate} until {_day(own)}")]


def unread_check(area: Area, what: str, path: Path) -> Check:
    """Return that nothing is known of a file, since this user may not read it or enter its folder."""
    return Check(area, what, "unknown", f"{path} cannot be read by this user", "Run this as root")


def expiry_check(area: Area, what: str, certificate: x509.Certificate) -> Check | None:
    """Return a warning about a certificate that expires soon; None: it does not, or has already."""
    now, ends = datetime.now(UTC), certificate.not_valid_after_utc
    if not now <= ends < now + SOON:
        return None
    days = (ends - now).days
    remedy = "Make it anew before, and restart what shows it"
    return Check(area, what, "warning", f"expires on {ends:%Y-%m-%d %H:%M} UTC, in {days} days", remedy)


def disk_check(area: Area, what: str, folder: Path) -> Check:
    """Return how much space there is where ``folder`` is."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return Check(area, what, "error", f"{folder}: {error.strerror}", "Make it, or see to its permissions")
    free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    fact = f"{free / 2**30:,.1f} GiB of {whole / 2**30:,.1f} GiB free at {folder}"
    if disk.f_files and not disk.f_favail:
        return Check(area, what, "error", f"no further file can be made at {folder}", "Remove files, or give it inodes")
    if free < NONE_BYTES:
        return Check(area, what, "error", fact, "Free some space: campaigns wait, and the server takes nothing")
    if free < LITTLE_BYTES:
        return Check(area, what, "warning", fact, f"Have {LITTLE_BYTES / 2**30:.0f} GiB free before a campaign begins")
    return Check(area, what, "ok", fact)


def _wrong(
    area: Area, pair: Pair, own: x509.Certificate, trusted: Sequence[x509.Certificate] | None, wanted: Sequence[str]
) -> Iterator[Check]:
    now = datetime.now(UTC)
    for fact, remedy in reasons(str(pair.certificate), own, trusted, now):
        yield Check(area, pair.what, "error", fact, remedy)
    if (soon := expiry_check(area, pair.what, own)) is not None:
        yield soon
    if wanted and not any(names(own, name) for name in wanted):
        fact = f"{pair.certificate} is for none of {', '.join(wanted)}: who connects would refuse it"
        yield Check(area, pair.what, "error", fact, "Make it with that among its names")


def secret_checks(area: Area, what: str, path: Path, readers: Sequence[str] = ()) -> list[Check]:
    """Return what is wrong with a file that its owner alone, and groups of ``readers``, may read; none: nothing."""
    try:
        facts = path.stat()
    except OSError as error:
        if is_hidden(path):
            return [unread_check(area, what, path)]
        return [Check(area, what, "error", f"{path}: {error.strerror}", "Put it there, as docs/deploy.md says")]
    others, group = facts.st_mode & stat.S_IRWXO, facts.st_mode & stat.S_IRWXG
    owner = pwd.getpwuid(facts.st_uid).pw_name if _known(facts.st_uid) else str(facts.st_uid)
    if not others and (not group or _group(facts.st_gid) in readers):
        return []
    fact = f"{path} of {owner} may be read by others: mode {stat.S_IMODE(facts.st_mode):o}"
    return [Check(area, what, "error", fact, f"chmod 600 {path}; make it anew if others may have had it")]


def _known(user: int) -> bool:
    try:
        return bool(pwd.getpwuid(user))
    except KeyError:
        return False


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def _day(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"
