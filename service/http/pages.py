"""Tables in pages: rows by key, a cursor that says where the next page begins, and whole tables as files."""

import base64
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, BinaryIO, Final, Literal, get_type_hints

import dataframely as dy
import polars as pl
from anyio.to_thread import run_sync
from fastapi import Query
from pydantic import BaseModel, Field, create_model
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from slacktide.errors import OutputError
from slacktide.service.http.admission import Admission
from slacktide.service.http.problems import ApiError, answer_of
from slacktide.service.http.server import Server
from slacktide.service.http.under_way import finished
from slacktide.service.kept_files import FAILURES

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


class TableFile(StreamingResponse):
    """A table as a file: read once there is room for another, written among the uploads under no name, then sent.

    It takes that room while it is answered and gives it back, however that ends.  Where there is none the answer is
    503, and where the table cannot be read it is why.
    """

    def __init__(
        self, read: Callable[[], pl.DataFrame], kind: TableFormat, name: str, server: Server, admission: Admission
    ) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
        super().__init__(iter(()), headers=headers, media_type=_MEDIA[kind])
        self._read, self._kind = read, kind
        self._server, self._request_id = server, admission.request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or why there is none."""
        exports, hidden = self._server.exports, str(self._server.places.data)
        if not exports.acquire(blocking=False):
            headers = {"Retry-After": "5"}
            full = ApiError(503, "exports", "server", "sends as many tables as it may", "Wait, and ask again", headers)
            await answer_of(full, self._request_id)(scope, receive, send)
            return
        with ExitStack() as held:
            held.callback(exports.release)
            try:
                file = await finished(run_sync(self._written, held))
            except FAILURES as error:
                await answer_of(error, self._request_id, hidden)(scope, receive, send)
                return
            self.body_iterator = iterate_in_threadpool(iter(lambda: file.read(PIECE_BYTES), b""))
            await super().__call__(scope, receive, send)

    def _written(self, held: ExitStack) -> BinaryIO:
        return held.enter_context(_written(self._read(), self._kind, self._server.places.uploads))


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


def page_model(
    name: str, schema: type[dy.Schema], columns: Sequence[str] | None = None, more: Mapping[str, Any] | None = None
) -> type[BaseModel]:
    """Return the type of pages of a table, for the description of the API; ``more`` columns by their types."""
    fields: dict[str, Any] = {}
    for column, declared in schema.columns().items():
        if columns is None or column in columns:
            kind = _kind(declared.dtype)
            fields[column] = (kind | None if declared.nullable else kind, ...)
    fields |= {column: (kind, ...) for column, kind in (more or {}).items()}
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
