"""The description of the API: who may what, how errors look, and an example of every call and answer."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from slacktide.service.http.admission import KEPT_FIELD, KEY_HEADER, ROLE_FIELD
from slacktide.service.http.examples import ANSWERS, PARAMETERS, PARAMETERS_OF, REQUESTS, UPLOADED
from slacktide.service.http.problems import MEDIA_TYPE, TITLES, Problem

_ALWAYS: Final = (401, 403, 422, 429, 503)
"""What every operation may be refused with."""
_CHANGING: Final = (400, 409, 413, 415, 507)
"""And those that change something."""
_KEY: Final = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "A random text. The same call under the same key is done once, and answered as before for a day.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "example": "0e9f7b1c-5a44-4d0e-9f43-7c1f1f2a3b4c",
}
_SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the server's (`slacktide token create`), or one of its OpenID provider's.",
    }
}


def described(app: FastAPI) -> None:
    """Have an API describe itself so."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            whole = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _finish(whole)
            app.openapi_schema = whole
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _finish(whole: dict[str, Any]) -> None:
    schemas = whole.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    whole["components"]["securitySchemes"] = _SCHEMES
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            _finish_operation(path, method, operation)


def _finish_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    name = operation["operationId"]
    operation["summary"] = _words(name)
    operation.pop("x-slacktide-body", None)
    for parameter in operation.get("parameters", []):
        _exemplify(name, parameter)
    guarded, repeatable = ROLE_FIELD in operation, operation.pop(KEPT_FIELD, False)
    answers = operation["responses"]
    answers.pop("422", None)
    if guarded:
        operation["security"] = [{"token": []}]
        changing = method != "get"
        codes = [*_ALWAYS, *(_CHANGING if changing else ())] + ([404] if changing or "{" in path else [])
        if not changing and "/campaigns/{" in path:
            codes.append(409)
        for code in sorted(codes):
            content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            answers[str(code)] = {"description": TITLES[code], "content": content}
    if method == "post" and guarded and repeatable:
        operation.setdefault("parameters", []).append(_KEY)
    _exemplify_bodies(name, operation)


def _exemplify_bodies(name: str, operation: dict[str, Any]) -> None:
    """Give what is sent and what is answered an example."""
    answers = operation["responses"]
    if name in REQUESTS:
        for media in operation["requestBody"]["content"].values():
            media["example"] = REQUESTS[name]
    if (upload := operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")) is not None:
        upload["example"] = UPLOADED
    if name in ANSWERS:
        code, example = ANSWERS[name]
        for media in answers.setdefault(str(code), {"description": "Done"}).get("content", {}).values():
            media["example"] = example


def _words(name: str) -> str:
    """Return an operation's name as words: ``get-campaign-vm`` is "Get campaign VM"."""
    words = " ".join({"vm": "VM"}.get(word, word) for word in name.split("-"))
    return f"{words[0].upper()}{words[1:]}"


def _exemplify(operation: str, parameter: dict[str, Any]) -> None:
    """Give a parameter an example, unless it has one."""
    schema = parameter["schema"]
    if "example" in parameter or "examples" in parameter or "examples" in schema:
        return
    named = {**PARAMETERS, **PARAMETERS_OF.get(operation, {})}
    values = [value for each in (schema, *schema.get("anyOf", [])) for value in each.get("enum", [])]
    parameter["example"] = named[parameter["name"]] if parameter["name"] in named else values[0]
