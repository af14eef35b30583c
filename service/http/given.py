"""What operations are given: the server, who asks, and parts of their paths."""

from typing import Annotated

from fastapi import Depends, Path, Query
from starlette.requests import Request

from slacktide.service.http.admission import Admission
from slacktide.service.http.callers import Caller
from slacktide.service.http.server import Server

_ID = r"^[0-9a-f]{16}$"


def _server(request: Request) -> Server:
    found: Server = request.app.state.server
    return found


def _admission(request: Request) -> Admission:
    found: Admission = request.state.admission
    return found


def _caller(request: Request) -> Caller:
    return _admission(request).caller


TheServer = Annotated[Server, Depends(_server)]
TheAdmission = Annotated[Admission, Depends(_admission)]
TheCaller = Annotated[Caller, Depends(_caller)]

FleetId = Annotated[str, Path(pattern=_ID, examples=["6c6eeb428fcb937b"])]
PlanId = Annotated[str, Path(pattern=_ID, examples=["0b7d5a2f9c1e4d38"])]
CampaignId = Annotated[str, Path(pattern=_ID, examples=["91c0f3ab5d7e2468"])]
JobId = Annotated[str, Path(pattern=_ID, examples=["a1b2c3d4e5f60718"])]
Name = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Wave = Annotated[int | None, Query(ge=0, lt=2**31)]
