"""The page: files of the package, for whoever asks; what they show they ask the API for, as their reader may."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from slacktide.service.http.problems import not_found, problem_of, response_of

router = APIRouter(include_in_schema=False)
FIRST: Final = "index.html"
_MEDIA: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "worker-src 'self'", "style-src 'self'", "img-src 'self'"),
        *("connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        *("require-trusted-types-for 'script'", "trusted-types slacktide"),
    )
)
"""Nothing from elsewhere, nothing inline, nothing made of text: what a fleet's names hold stays text."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class _File(NamedTuple):
    content: bytes
    media: str
    tag: str


@router.get("/")
@router.get("/page")
def begin() -> Response:
    """Lead to the page."""
    return RedirectResponse("/page/", 307)


@router.get("/page/static/{name:path}")
def static(name: str, request: Request) -> Response:
    """Send a file of the page."""
    found = _files().get(name)
    if found is None:
        return response_of(*problem_of(not_found("file", name[:200], "Open the page anew: /page/"), None))
    return _sent(found, request)


@router.get("/page/{view:path}")
def page(view: str, request: Request) -> Response:
    """Send the page; which view of it is shown, it reads from its address itself."""
    del view
    return _sent(_files()[FIRST], request)


def _sent(file: _File, request: Request) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """Return the page's files by name; there are few, and they stay in memory."""
    folder = files("slacktide.service") / "page"
    found = {}
    for place, prefix in ((folder, ""), (folder / "views", "views/")):
        for each in place.iterdir():
            media = _MEDIA.get(f".{each.name.rpartition('.')[2]}")
            if each.is_file() and media is not None:
                content = each.read_bytes()
                tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
                found[f"{prefix}{each.name}"] = _File(content, media, tag)
    return found
