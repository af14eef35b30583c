"""Tokens of an OpenID provider: a small real one on this machine, with keys of its own."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from http_server import InProcess, in_process
from jwt.algorithms import ECAlgorithm

from slacktide.service.http import oidc
from slacktide.service.http.oidc import OidcKeys, check_issuer
from slacktide.service.http.problems import ApiError
from slacktide.service.http.settings import Oidc, Rates


class Provider:
    """Serves its discovery document and its public keys."""

    def __init__(self) -> None:
        self.keys: dict[str, EllipticCurvePrivateKey] = {"k1": generate_private_key(SECP256R1())}
        self.asked = 0
        self.said: bytes | None = None
        """What it answers to everything; null: what is right."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = provider.said or json.dumps(provider.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        public = {name: json.loads(ECAlgorithm.to_jwk(key.public_key())) for name, key in self.keys.items()}
        return {"keys": [{**jwk, "kid": name, "alg": "ES256", "use": "sig"} for name, jwk in public.items()]}

    def token(self, key: str = "k1", signer: EllipticCurvePrivateKey | None = None, **changes: object) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "slacktide", "sub": "eva@example", "iat": now, "exp": now + 300}
        claims |= {"slacktide_role": "operator"} | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, signer or self.keys[key], "ES256", headers={"kid": key})


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    thread = threading.Thread(target=made.http.serve_forever, daemon=True)
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(scope="module")
def api(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    oidc = Oidc(issuer=provider.issuer, audience="slacktide", roles={"sre": "admin"})
    return in_process(tmp_path_factory.mktemp("oidc"), oidc=oidc)


def asked(api: InProcess, token: str) -> tuple[int, dict[str, Any]]:
    answer = api.call("GET", "/v1/me", None, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


def test_the_providers_word_counts(api: InProcess, provider: Provider) -> None:
    status, me = asked(api, provider.token())
    assert (status, me["who"], me["role"]) == (200, "oidc:eva@example", "operator")
    assert asked(api, provider.token(slacktide_role=["viewer", "sre", "others"]))[1]["role"] == "admin"
    before = provider.asked
    assert asked(api, provider.token())[0] == 200
    assert provider.asked == before


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"sub": None},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
    ],
)
def test_a_claim_that_is_not_right_is_refused(api: InProcess, provider: Provider, changes: dict[str, object]) -> None:
    assert asked(api, provider.token(**changes))[0] == 401


def test_whoever_signs_instead_is_refused(api: InProcess, provider: Provider) -> None:
    assert asked(api, provider.token(signer=generate_private_key(SECP256R1())))[0] == 401
    header, claims, _ = provider.token().split(".")
    none = jwt.encode({"sub": "eva"}, None, "none", headers={"kid": "k1"}).split(".")[0]
    for forged in (f"{header}.{claims}.", f"{none}.{claims}.", f"{header}.{claims}", "a.b.c"):
        assert asked(api, forged)[0] == 401
    shared = jwt.encode({"sub": "eva"}, "x" * 32, "HS256", headers={"kid": "k1"})
    assert asked(api, shared)[0] == 401


def test_who_has_no_role_is_told_so(api: InProcess, provider: Provider) -> None:
    for role in (None, "guest", ["x"], {"a": 1}, 7):
        status, problem = asked(api, provider.token(slacktide_role=role))
        assert (status, problem["object"]) == (403, "Authorization")


def test_a_new_key_is_looked_for_but_not_at_every_call(api: InProcess, provider: Provider) -> None:
    asked(api, provider.token())
    stranger = provider.token("k1", headers_kid=None)
    provider.keys["k2"] = generate_private_key(SECP256R1())
    before = provider.asked
    assert asked(api, provider.token("k2"))[0] == 401
    assert provider.asked == before, "keys were fetched less than half a minute ago"
    api.server.callers._oidc._asked_s -= 31
    assert asked(api, provider.token("k2"))[0] == 200
    assert asked(api, stranger)[0] == 200


def test_a_provider_has_to_be_reached_safely() -> None:
    check_issuer(Oidc(issuer="https://id.example", audience="slacktide"))
    with pytest.raises(ValueError, match="not encrypted"):
        check_issuer(Oidc(issuer="http://id.example", audience="slacktide"))


def test_a_provider_that_is_away_is_no_refusal(tmp_path: Any, provider: Provider) -> None:
    api = in_process(tmp_path, oidc=Oidc(issuer="http://127.0.0.1:9", audience="slacktide"))
    status, problem = asked(api, provider.token())
    assert (status, problem["object"]) == (503, "OpenID provider")


@pytest.fixture
def silent() -> Iterator[str]:
    """A provider that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_provider_that_hangs_holds_few_calls_and_not_again(
    provider: Provider, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "DEADLINE_S", 0.3)
    keys = OidcKeys(Oidc(issuer=silent, audience="slacktide"))
    told: list[str] = []
    has_told = threading.Semaphore(0)

    def ask() -> None:
        with pytest.raises(ApiError) as error:
            keys.check(provider.token())
        told.append(error.value.fact)
        has_told.release()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    with keys._fetching:
        for thread in threads:
            thread.start()
        for _ in range(len(threads) - oidc.MOST_WAITING):
            assert has_told.acquire(timeout=20)
    for thread in threads:
        thread.join()
    assert {fact for fact in told[: -oidc.MOST_WAITING]} == {
        "is being asked for its keys, and as many calls as may wait for them"
    }
    assert set(told[-oidc.MOST_WAITING :]) == {"cannot be asked for its keys: it takes too long"}
    asked_s = keys._asked_s
    ask()
    assert keys._asked_s == asked_s, "it was asked less than half a minute ago"


def test_known_keys_are_good_while_the_provider_is_asked_for_others(api: InProcess, provider: Provider) -> None:
    assert asked(api, provider.token())[0] == 200
    with api.server.callers._oidc._fetching:
        assert asked(api, provider.token())[0] == 200
        status, problem = asked(api, provider.token("k9", provider.keys["k1"]))
        assert (status, problem["fact"]) == (503, "is being asked for its keys")


def test_names_that_nobody_looks_up_hold_no_call(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        assert answered.wait(20)
        raise socket.gaierror("not known")

    monkeypatch.setattr(oidc, "DEADLINE_S", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    keys = OidcKeys(Oidc(issuer="https://id.example", audience="slacktide"))
    with pytest.raises(ApiError, match="it takes too long"):
        keys.check(provider.token())
    answered.set()
    for thread in threading.enumerate():
        if thread.name == "asking the OpenID provider":
            thread.join()


def test_tokens_that_nobody_can_check_are_told_so_a_few_times_and_keep_no_others_from_it(
    tmp_path: Path, provider: Provider
) -> None:
    rates = Rates(refusals="2/minute")
    api = in_process(tmp_path, oidc=Oidc(issuer="http://127.0.0.1:9", audience="slacktide"), rates=rates)
    assert [asked(api, provider.token())[0] for _ in range(4)] == [503, 503, 429, 429]
    assert asked(api, api.tokens["viewer"])[0] == 200


@pytest.mark.parametrize("said", [b"[" * 100_000, b"{}", b"null", b'{"issuer": 7, "jwks_uri": []}'])
def test_a_provider_that_says_nonsense_is_away(provider: Provider, said: bytes) -> None:
    provider.said = said
    try:
        keys = OidcKeys(Oidc(issuer=provider.issuer, audience="slacktide"))
        with pytest.raises(ApiError, match="cannot be asked for its keys"):
            keys.check(provider.token())
    finally:
        provider.said = None


def test_keys_without_a_name_are_none(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    right = provider.answer

    def answer(path: str) -> dict[str, Any]:
        found = right(path)
        return {"keys": [{**jwk, "kid": ["k"]} for jwk in found["keys"]]} if "keys" in found else found

    monkeypatch.setattr(provider, "answer", answer)
    keys = OidcKeys(Oidc(issuer=provider.issuer, audience="slacktide"))
    with pytest.raises(ApiError, match="its token is not valid"):
        keys.check(provider.token())


def test_a_subject_is_a_text_that_every_store_takes(api: InProcess, provider: Provider) -> None:
    status, me = asked(api, provider.token(sub="e\0va\ud800"))
    assert (status, me["who"]) == (200, "oidc:e\ufffdva?")
