"""The environment of campaigns that the server or a trigger begins."""

import pytest

from slacktide.executors.store.address import parse_store
from slacktide.service.launching import environment_of_campaign


def test_it_leads_into_the_cluster_and_names_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    into = {
        "RAY_ADDRESS": "192.0.2.10:6379",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": "/etc/slacktide/token",
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": "/etc/slacktide/node.crt",
        "RAY_TLS_SERVER_KEY": "/etc/slacktide/node.key",
        "RAY_TLS_CA_CERT": "/etc/slacktide/ca.crt",
    }
    of_the_worker = {"RAY_JOB_ID": "01000000", "RAY_RAYLET_PID": "17", "RAY_SERVE_X": "1"}
    ours = {"SLACKTIDE_SERVER": "https://slacktide.example", "SLACKTIDE_TOKEN": "slacktide_x"}
    for name, value in {**into, **of_the_worker, **ours}.items():
        monkeypatch.setenv(name, value)
    found = environment_of_campaign(parse_store("sqlite:////srv/night.sqlite"))
    assert {name: found.get(name) for name in into} == into
    assert not found.keys() & (of_the_worker.keys() | ours.keys())
    assert environment_of_campaign(None, "192.0.2.11:6379")["RAY_ADDRESS"] == "192.0.2.11:6379"
    assert found["SLACKTIDE_STORE"] == "sqlite:////srv/night.sqlite"
