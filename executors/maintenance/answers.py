"""Questions over HTTP whose answer is bounded in time and in length."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import httpx

ANSWER_BYTES: Final = 16 * 2**20
"""Of an answer that are read: a query of Prometheus with a hundred thousand series has about as many."""
SENDABLE: Final = re.compile(r"[\t\x20-\x7e]*")
"""What HTTP takes as the value of a header."""


class Answer(NamedTuple):
    """An answer, cut after :data:`ANSWER_BYTES`."""

    code: int
    text: str
    is_cut: bool = False

    @property
    def is_success(self) -> bool:
        """Return whether its code says that all is well."""
        return 200 <= self.code < 300

    def json(self) -> Any:  # noqa: ANN401  (JSON)
        """Return its value.

        Raises
        ------
        ValueError
            If it is no JSON, or JSON nested deeper than can be read.
        """
        return read_json(self.text)


def read_json(text: str) -> Any:  # noqa: ANN401  (JSON)
    """Return the value of a text of JSON.

    Raises
    ------
    ValueError
        If it is no JSON, or JSON nested deeper than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def answer_to(
    url: str, headers: Mapping[str, str], limit_s: float, parameters: Mapping[str, str] | None = None
) -> Answer | str:
    """Return the answer to a GET that is there as a whole within ``limit_s``, or in words why there is none."""
    import httpx

    if wrong := unsendable(headers):
        return wrong
    try:
        return asyncio.run(_answer(url, headers, limit_s, parameters))
    except TimeoutError:
        return f"there is no answer within {limit_s:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"there is no answer: {' '.join(str(error).split()) or type(error).__name__}"


def unsendable(headers: Mapping[str, str]) -> str | None:
    """Return which header HTTP does not take, without its value, which may be a secret; None: all can be sent."""
    for name, value in headers.items():
        if not SENDABLE.fullmatch(value):
            fact = (
                f"the value of the header {name} has a line break or a character beyond ASCII, which HTTP does not take"
            )
            return f"{fact}. Correct it, or the variable that it is from"
    return None


async def _answer(url: str, headers: Mapping[str, str], limit_s: float, parameters: Mapping[str, str] | None) -> Answer:
    import httpx

    async with (
        asyncio.timeout(limit_s),
        httpx.AsyncClient(timeout=limit_s) as client,
        client.stream("GET", url, headers=headers, params=parameters) as answer,
    ):
        content = bytearray()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > ANSWER_BYTES:
                break
        is_cut = len(content) > ANSWER_BYTES
        return Answer(answer.status_code, _text(answer, bytes(content[:ANSWER_BYTES])), is_cut)


def _text(answer: "httpx.Response", content: bytes) -> str:
    try:
        return content.decode(answer.charset_encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):  # the server names an encoding that is none of texts
        return content.decode("utf-8", errors="replace")
