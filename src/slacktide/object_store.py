"""Files and folders in object stores, by URL: ``s3://bucket/fleet``, ``gs://bucket/plans/night``, ``memory://plan``.

Any store that fsspec knows will do; credentials and endpoints come from where its package looks for them, never from
the URL.  A store has no directories and renames nothing: a folder is the names that begin with it.  So one is written
beside its destination first and then copied there by the store, with the file without which the others count for
nothing as the last (:func:`write_folder`), and what is read while it is replaced is refused (:func:`steady`).
"""

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from slacktide.errors import InputError, OutputError, SlacktideError, UsageError

_LOCAL: Final = ("file", "local")
_ACCESS: Final = "Check the address, the credentials and what they permit"


class StoredPath:
    """A file or folder in an object store, with the verbs of :class:`pathlib.Path` that files are read with here."""

    __slots__ = ("_protocol", "_rest")

    def __init__(self, url: str) -> None:
        protocol, rest = _parts(url)
        if not protocol:
            raise UsageError(url, "is no URL", "Write it such as s3://bucket/folder")
        self._protocol, self._rest = protocol, rest.strip("/")
        user, at, host = self._rest.partition("/")[0].rpartition("@")
        if at and ":" in user:
            shown = f"{self._protocol}://{user.partition(':')[0]}:...@{host}"
            raise UsageError(shown, "has a password in it, which would be written down", "Leave it to the environment")

    def __str__(self) -> str:
        return f"{self._protocol}://{self._rest}"

    def __repr__(self) -> str:
        return f"StoredPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredPath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str) -> "StoredPath":
        return StoredPath(f"{self}/{name}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self._rest.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the name, dot included."""
        return PurePosixPath(self.name).suffix

    @property
    def parents(self) -> tuple["StoredPath", ...]:
        """The folders that it lies in, the nearest first; the last is the bucket."""
        parts = self._rest.split("/")
        return tuple(
            StoredPath(f"{self._protocol}://{'/'.join(parts[:count])}") for count in range(len(parts) - 1, 0, -1)
        )

    def with_name(self, name: str) -> "StoredPath":
        """Return the path with another last part."""
        return self.parents[0] / name

    def resolve(self) -> "StoredPath":
        """Return the path itself: stores have no links."""
        return self

    def is_dir(self) -> bool:
        """Return whether there are files in it."""
        return bool(self.names())

    def is_file(self) -> bool:
        """Return whether there is a file of this name."""
        return self.version() is not None

    def exists(self) -> bool:
        """Return whether there is a file or a folder of this name."""
        return self.is_file() or self.is_dir()

    def names(self) -> tuple[str, ...]:
        """Return the names of the files and folders directly in it, in order."""
        with self._reading() as (store, key):
            try:
                listed = [entry.rstrip("/") for entry in store.ls(key, detail=False)]
            except (FileNotFoundError, NotADirectoryError):
                return ()
            own = key.strip("/")
            return tuple(sorted(entry.rpartition("/")[2] for entry in listed if entry.strip("/") != own))

    def read_bytes(self) -> bytes:
        """Return the file's content.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        InputError
            If the store does not answer, or refuses.
        """
        with self._reading() as (store, key):
            content: bytes = store.cat_file(key)
            return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the file's content as text; see :meth:`read_bytes`."""
        return self.read_bytes().decode(encoding)

    def version(self) -> str | None:
        """Return what is another text once the file has been written again; None: there is no such file."""
        with self._reading() as (store, key):
            try:
                return str(store.ukey(key)) if store.info(key)["type"] == "file" else None
            except FileNotFoundError:
                return None

    def store(self) -> tuple[Any, str]:
        """Return fsspec's file system for the URL, and the name in it.

        Raises
        ------
        UsageError
            If none is known for such URLs, or the package that it is in is not installed.
        """
        import fsspec

        try:
            store, key = fsspec.core.url_to_fs(str(self), use_listings_cache=False)
        except ImportError as error:
            fact = f"needs a package that is not installed here. {error}"
            raise UsageError(str(self), fact, "Have pip put it where Slacktide is installed") from error
        except ValueError as error:
            fact = f"no object store is known for {self._protocol}://"
            raise UsageError(str(self), fact, "Give a URL such as s3://bucket/folder, gs:// or abfs://") from error
        return store, key

    @contextmanager
    def _reading(self) -> Iterator[tuple[Any, str]]:
        """Yield the store and the name in it; whatever its package raises is told with the URL and a remedy."""
        try:
            yield self.store()
        except SlacktideError:
            raise
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error
        except Exception as error:  # packages raise those of their libraries
            raise InputError(str(self), f"cannot be read: {_first_line(error)}", _ACCESS) from error


AnyPath = Path | StoredPath
"""Where a fleet, a plan or a policy may be."""


def path_at(text: str | os.PathLike[str] | StoredPath) -> AnyPath:
    """Return what a path or a URL names; ``file://`` is this machine's own."""
    if isinstance(text, StoredPath):
        return text
    words = os.fspath(text)
    protocol, _ = _parts(words)
    if not protocol:
        return Path(words)
    return Path(unquote(urlsplit(words).path)) if protocol in _LOCAL else StoredPath(words)


def _parts(words: str) -> tuple[str, str]:
    """Return a URL's protocol and what follows it; of a path, no protocol."""
    protocol, sign, rest = words.partition("://")
    known = sign and protocol[:1].isalpha() and protocol.islower() and protocol.replace("+", "").isalnum()
    return (protocol, rest) if known else ("", words)


def write_object(path: StoredPath, content: bytes) -> None:
    """Write a file, replacing one that is there; stores do that whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with _writing(path) as (store, key):
        store.pipe_file(key, content)


def write_folder(path: StoredPath, contents: Mapping[str, bytes], known: Collection[str], last: str) -> None:
    """Write a folder of files by name, replacing one of the same kind that is there.

    All files are written beside it first, so that nothing is lost where that fails.  Then the store copies them: the
    file ``last`` of a folder that is there goes first, and comes as the last.  A folder without it is none.  Where they
    cannot be copied any more, what was written beside stays, and the error names it.

    Raises
    ------
    UsageError
        If it would be a whole bucket.
    OutputError
        If it cannot be written, or holds files that are not ``known``.
    """
    if others := [name for name in path.names() if name not in {*contents, *known}]:
        fact = f"holds other things, such as {others[0]}"
        raise OutputError(str(path), fact, "Choose a path where nothing is, or empty it first")
    beside = _beside(path)
    with _writing(path) as (store, key):
        _, place = beside.store()
        try:
            store.pipe({f"{place}/{name}": content for name, content in contents.items()})
        except BaseException:
            _forget(store, place, contents)
            raise
        try:
            for name in (last, *(name for name in path.names() if name not in contents)):
                _remove(store, f"{key}/{name}")
            for names in ([name for name in contents if name != last], [last]):
                store.copy([f"{place}/{name}" for name in names], [f"{key}/{name}" for name in names])
        except Exception as error:
            fact = f"cannot be written: {_first_line(error)}; all of it is in {beside}"
            raise OutputError(
                str(path), fact, "Copy that to its place, the file last that names the folder's kind"
            ) from error
        _forget(store, place, contents)


def _forget(store: Any, place: str, names: Iterable[str]) -> None:  # noqa: ANN401  (fsspec has no types)
    """Remove what was written beside; where that fails, what went wrong before says more."""
    for name in names:
        with suppress(Exception):
            store.rm_file(f"{place}/{name}")


def check_writable(path: StoredPath) -> None:
    """Write something small beside a path and remove it, so that what cannot be written is known before the work.

    Raises
    ------
    UsageError
        If the path is a whole bucket.
    OutputError
        If nothing can be written there.
    """
    beside = _beside(path) / "tried"
    with _writing(path) as (store, _):
        _, key = beside.store()
        store.pipe_file(key, b"")
        _remove(store, key)


@contextmanager
def steady(file: AnyPath) -> Iterator[None]:
    """Refuse what is read in the block if ``file``, without which its folder is none, is written again meanwhile.

    Folders on this machine are replaced at once, and nothing is asked.

    Raises
    ------
    InputError
        If so.
    """
    before = None if isinstance(file, Path) else file.version()
    yield
    if isinstance(file, StoredPath) and file.version() != before:
        raise InputError(str(file.parents[0]), "was replaced while it was read", "Read it again")


def _beside(path: StoredPath) -> StoredPath:
    if not path.parents:
        raise UsageError(str(path), "is a whole bucket", "Give a folder in it")
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.partial")


def _remove(store: Any, key: str) -> None:  # noqa: ANN401  (fsspec has no types)
    with suppress(FileNotFoundError):
        store.rm_file(key)


@contextmanager
def _writing(path: StoredPath) -> Iterator[tuple[Any, str]]:
    try:
        yield path.store()
    except SlacktideError:
        raise
    except Exception as error:  # packages raise those of their libraries
        raise OutputError(str(path), f"cannot be written: {_first_line(error)}", _ACCESS) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
