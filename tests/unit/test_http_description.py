"""The description of the API: complete, with examples that are as it says, and an API that is as it says."""

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from http_server import InProcess, in_process
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PATIENCE_S = 120
UPLOADS = ("/v1/fleets", "/v1/fleets/check")
"""Each is read by a process of its own; test_http_uploads.py asks more of them."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SETTINGS = settings(
    max_examples=5,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    made = in_process(tmp_path_factory.mktemp("api"))
    made.held = True
    return made


def operations(whole: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for operations in whole["paths"].values() for each in operations.values()]


def test_every_call_and_answer_has_an_example_that_is_as_described(api: InProcess) -> None:
    whole = api.app.openapi()
    seen = 0
    for operation in operations(whole):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        answers = [answer for code, answer in operation["responses"].items() if code < "300"]
        medias = [media for answer in answers for media in answer.get("content", {}).items()]
        described = [media for kind, media in medias if kind == "application/json"]
        for media in [*([] if body is None else [body]), *described]:
            assert "example" in media, operation["operationId"]
            checked = {**media["schema"], "components": whole["components"]}
            Draft202012Validator(checked).validate(media["example"])
            seen += 1
        assert operation["summary"].lower() == operation["operationId"].replace("-", " ")
        for parameter in operation.get("parameters", []):
            examples = [parameter["example"]] if "example" in parameter else parameter.get("examples", [])
            for example in examples or parameter["schema"]["examples"]:
                Draft202012Validator(parameter["schema"]).validate(example)
        upload = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
        if upload is not None:
            assert upload["example"].keys() == upload["schema"]["properties"].keys()
        assert operation["description"] or operation["operationId"].startswith("get-")
    assert seen > 45
    for schema in whole["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_refusal_is_described_as_a_problem(api: InProcess) -> None:
    for operation in operations(api.app.openapi()):
        if "x-slacktide-role" not in operation:
            continue
        assert {"401", "403", "422", "429"} <= operation["responses"].keys()
        for code, answer in operation["responses"].items():
            assert code < "400" or list(answer["content"]) == ["application/problem+json"]


def test_no_call_that_anybody_can_think_of_makes_the_server_fail(api: InProcess) -> None:
    """Every operation, as its description allows and as it forbids: answered as described, never with a 5xx."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app)
    called: set[str] = set()

    def asked(case: Case) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {api.tokens['admin']}"}, timeout=PATIENCE_S)
        case.validate_response(answer, checks=CHECKS)
        called.add(case.operation.label)

    for result in schema.get_all_operations():
        operation = result.ok()
        few = settings(SETTINGS, max_examples=1) if operation.path in UPLOADS else SETTINGS
        for modes in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with suppress(Unsatisfiable):
                few(given(operation.as_strategy(generation_mode=modes))(asked))()
    assert len(called) == len(operations(api.app.openapi()))
