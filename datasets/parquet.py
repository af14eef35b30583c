"""Parquet as bytes: deterministic to write, and read without noise however damaged."""

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator

import polars as pl


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """Return a table as Parquet; the same content gives the same bytes."""
    buffer = io.BytesIO()
    table.rechunk().write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=2**20)
    return buffer.getvalue()


def read_parquet(content: bytes) -> pl.DataFrame:
    """Return the table in ``content``.

    Raises
    ------
    ValueError
        If it is no readable Parquet; the first line of the reason is its text.
    """
    try:
        with _damage_kept_quiet():
            return pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PanicException as error:
        raise ValueError("its contents are damaged") from error
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        lines = str(error).strip().splitlines()
        raise ValueError(lines[0] if lines else "no reason given") from error


@contextlib.contextmanager
def _damage_kept_quiet() -> Iterator[None]:
    """Hold back what is written to standard error, and drop it if the reader panics.

    On damaged pages polars' threads print their own stack before the error arrives here, which nobody can act on.
    """
    try:
        held_from = os.dup(2)
    except OSError:
        yield
        return
    sys.stderr.flush()
    panicked = False
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except pl.exceptions.PanicException:
            panicked = True
            raise
        finally:
            os.dup2(held_from, 2)
            os.close(held_from)
            if not panicked:
                held.seek(0)
                os.write(2, held.read())
