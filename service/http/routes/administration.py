"""Tokens and the audit log, and what the server is."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import JSONResponse, Response

from slacktide import __version__
from slacktide.service.http.admission import GuardedRoute, allowed
from slacktide.service.http.given import Name, TheAdmission, TheCaller, TheServer
from slacktide.service.http.pages import Cursor, PageSize, list_of, model_of, number_of, page_of, pages_of
from slacktide.service.http.problems import not_found
from slacktide.service.store.audit import AuditEntry, Deed, audit_entries
from slacktide.service.store.tokens import Role, Token, create_token, list_tokens, revoke_token

router = APIRouter(prefix="/v1", tags=["administration"], route_class=GuardedRoute)
TokenView = model_of(Token)
NewToken = create_model(
    "NewToken",
    __base__=TokenView,
    __doc__="A token that was made.",
    token=(str, Field(description="What its holder sends; it is shown this once.")),
)
TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", examples=["90f7def5ce40"])]


class Me(BaseModel):
    """Who asks, and whom they ask."""

    who: str
    role: Role
    version: str
    profiles: list[str]
    """Real hosts that campaigns may be for."""


class TokenAsked(BaseModel):
    """A token that is to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=100, pattern=r"^\S[^\x00-\x1f\x7f]*$")
    """Whose it is: a person, or a service."""
    role: Role
    days: float | None = Field(default=90.0, gt=0, le=3660)
    """How long it lasts; null: until it is revoked."""


@router.get("/me", operation_id="get-me", response_model=Me, **allowed("viewer"))
def me(server: TheServer, caller: TheCaller) -> dict[str, Any]:
    """Look at who the server takes one for, and what one may."""
    profiles = sorted(server.campaigning.profiles)
    return {"who": caller.who, "role": caller.role, "version": __version__, "profiles": profiles}


@router.get("/tokens", operation_id="list-tokens", response_model=list_of(TokenView), **allowed("admin"))
def tokens(server: TheServer) -> list[dict[str, Any]]:
    """List tokens, the oldest first."""
    return [each._asdict() for each in list_tokens(server.database)]


@router.post(
    "/tokens", operation_id="create-token", status_code=201, response_model=NewToken, **allowed("admin", kept=False)
)
def new_token(asked: TokenAsked, server: TheServer, caller: TheCaller, admission: TheAdmission) -> Response:
    """Make a token.  Its secret is in the answer and nowhere else; a call that is repeated makes another."""
    lasts_s = None if asked.days is None else asked.days * 86_400
    token, text = create_token(server.database, asked.name, asked.role, caller.who, lasts_s)
    admission.deed = Deed(made=f"token {token.token_id}")
    return JSONResponse({**token._asdict(), "token": text}, 201)


@router.delete("/tokens/{token_id}", operation_id="revoke-token", status_code=204, **allowed("admin"))
def revoke(token_id: TokenId, server: TheServer) -> Response:
    """Have a token be valid no more."""
    if not revoke_token(server.database, token_id):
        raise not_found("token", token_id, "List tokens: GET /v1/tokens")
    return Response(status_code=204)


@router.get("/audit", operation_id="list-audit", response_model=pages_of(model_of(AuditEntry)), **allowed("admin"))
def audit(
    server: TheServer,
    who: Name = None,
    action: Name = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> dict[str, Any]:
    """Read the audit log: every call that may have changed something, in order."""
    found = audit_entries(server.database, number_of(cursor), limit + 1, who, action)
    return page_of([each._asdict() for each in found], limit, [str(each.number) for each in found])
