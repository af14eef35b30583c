"""Tables in pages: rows by key, a cursor that says where the next page begins, and whole tables as files."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, BinaryIO, Final, Literal, get_type_hints

import dataframely as dy
import polars as pl
from fastapi import Query
from pydantic import BaseModel, Field, create_model
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from slacktide.errors import InputError, OutputError, UsageError
from slacktide.service.http.problems import ApiError
from slacktide.service.http.server import Server

MOST_ROWS: Final = 1000
PIECE_BYTES: Final = 2**16
PageSize = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows in the page.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next` of the page before; none: the first page.", examples=[None])
]
TableFormat = Literal["parquet", "csv"]
_MEDIA: Final = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}


class Page(BaseModel):
    """Some rows, and where the next page begins."""

    items: list[Any]
    next: str | None = Field(description="Send it as `cursor` for the next page; null: this is the last.")


def cursor_of(key: str) -> str:
    """Return the cursor of the page after a key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> str:
    """Return the key that a page begins after.

    Raises
    ------
    ApiError
        422, if it is no cursor.
    """
    if cursor is None:
        return ""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if "\0" in key:
            raise ValueError("no key has a NUL in it")
        return key
    except ValueError:
        remedy = "Send `next` of the page before as it is, or leave it out for the first page"
        raise ApiError(422, "cursor", "cursor", "is none of this server's", remedy) from None


def number_of(cursor: str | None) -> int:
    """Return the same where keys are numbers; errors as :func:`key_of`."""
    key = key_of(cursor) or "0"
    if not key.isascii() or not key.isdecimal() or len(key) > 9:
        remedy = "Send `next` of the page before as it is, or leave it out for the first page"
        raise ApiError(422, "cursor", "cursor", "is none of this list's", remedy)
    return int(key)


def page_of(items: Sequence[Any], size: int, keys: Sequence[str]) -> dict[str, Any]:
    """Return a page of at most ``size`` of the items, of which one more than that was looked for."""
    more = len(items) > size
    return {"items": list(items[:size]), "next": cursor_of(keys[size - 1]) if more else None}


def table_page(table: pl.DataFrame, key: str, cursor: str | None, size: int) -> dict[str, Any]:
    """Return a page of a table, by its key; errors as :func:`key_of`."""
    after = key_of(cursor)
    rows = table.sort(key).filter(pl.col(key) > after) if after else table.sort(key)
    found = rows.head(size + 1)
    return page_of(found.to_dicts(), size, found[key].to_list())


@contextmanager
def kept_files(what: str, name: str) -> Iterator[None]:
    """Read files of something that the server keeps.

    Raises
    ------
    ApiError
        500, if they are gone or damaged.
    """
    try:
        yield
    except (FileNotFoundError, pl.exceptions.ComputeError, UsageError, InputError) as error:
        remedy = "Have whoever runs the server find out what else is: `slacktide store check`; and restore a backup"
        raise ApiError(500, "damaged", f"{what} {name}", "has files that are gone or damaged", remedy) from error


def table_file(read: Callable[[], pl.DataFrame], kind: TableFormat, name: str, server: Server) -> StreamingResponse:
    """Return a table as a file that is streamed; it is written among the uploads, under no name, before.

    Parameters
    ----------
    read
        Reads the table, once there is room for another export.

    Raises
    ------
    ApiError
        503, if as many are under way as may be.
    """
    if not server.exports.acquire(blocking=False):
        headers = {"Retry-After": "5"}
        raise ApiError(503, "exports", "server", "sends as many tables as it may", "Wait, and ask again", headers)
    try:
        file = _written(read(), kind, server.places.uploads)
    except BaseException:
        server.exports.release()
        raise
    return _Export(file, kind, name, server)


class _Export(StreamingResponse):
    """A file that is sent piece by piece, and makes room for another once it is, however that ends."""

    def __init__(self, file: BinaryIO, kind: TableFormat, name: str, server: Server) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
        super().__init__(iter(lambda: file.read(PIECE_BYTES), b""), headers=headers, media_type=_MEDIA[kind])
        self._file = file
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
            self._server.exports.release()


def _written(table: pl.DataFrame, kind: TableFormat, folder: Path) -> BinaryIO:
    """Return a file with a table, under no name in a folder.

    Raises
    ------
    OutputError
        If there is no room for it.
    """
    try:
        with ExitStack() as unless_written:
            file = unless_written.enter_context(tempfile.TemporaryFile(dir=folder))
            if kind == "parquet":
                table.write_parquet(file)
            else:
                lists = [column for column, dtype in table.schema.items() if isinstance(dtype, pl.List)]
                table.with_columns(pl.col(column).list.join(" ") for column in lists).write_csv(file)
            file.seek(0)
            unless_written.pop_all()
            return file
    except (OSError, pl.exceptions.ComputeError) as error:
        fact = f"cannot be written: {error}"
        raise OutputError("export", fact, "Ask again once whoever runs the server has made room") from error


def page_model(name: str, schema: type[dy.Schema], columns: Sequence[str] | None = None) -> type[BaseModel]:
    """Return the type of pages of a table, for the description of the API."""
    fields: dict[str, Any] = {}
    for column, declared in schema.columns().items():
        if columns is None or column in columns:
            kind = _kind(declared.dtype)
            fields[column] = (kind | None if declared.nullable else kind, ...)
    return pages_of(create_model(name, **fields))


def model_of(row: type[object]) -> type[BaseModel]:
    """Return the type of a row as the API answers it: what the server keeps or sees, under the same names."""
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in get_type_hints(row).items()}
    return create_model(row.__name__, __doc__=row.__doc__, **fields)


def pages_of(item: type[BaseModel]) -> type[BaseModel]:
    """Return the type of pages of something, for the description of the API."""
    return create_model(f"{item.__name__}Page", items=(list_of(item), ...), next=(str | None, ...))


def list_of(item: type[BaseModel]) -> Any:  # noqa: ANN401  (an annotation)
    """Return the type of lists of something."""
    return GenericAlias(list, (item,))


def table_media(schema_name: str) -> dict[int | str, dict[str, Any]]:
    """Return how a file of a table is described."""
    content = {media.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()}
    return {200: {"description": f"All {schema_name} that the filters leave, as one file.", "content": content}}


def _kind(dtype: pl.DataType) -> Any:  # noqa: ANN401  (a type, or an annotation)
    if isinstance(dtype, pl.Enum):
        return Literal[tuple(dtype.categories)]
    if isinstance(dtype, pl.List):
        return list[str]
    return int if dtype.is_integer() else float if dtype.is_float() else str
