"""``slacktide fleet generate``: every setting can be reached, and help names the true defaults."""

import json
from typing import get_args, get_type_hints

import pytest

from slacktide.datasets.files import read_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.service.cli import main
from slacktide.service.commands.generate_options import GenerateOptions

ONLY_IN_A_FILE = {
    "machine_types",
    "vm_sizes",
    "service_sizes",
    "profiles",
    "local_disk_gib",
    "notice_s",
    "blackout_limits_ms",
}
"""Settings that are tables."""


def as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {share}" for name, share in value.items())
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def test_every_setting_is_an_option_or_a_table():
    options = set(GenerateOptions.__dataclass_fields__)
    assert options | ONLY_IN_A_FILE == set(GeneratorSettings.model_fields)
    assert not options & ONLY_IN_A_FILE


@pytest.mark.parametrize("name", list(GenerateOptions.__dataclass_fields__))
def test_help_names_the_default(name):
    parameter = get_args(get_type_hints(GenerateOptions, include_extras=True)[name])[1]
    assert parameter.show_default(None) == as_text(getattr(GeneratorSettings(), name))


def test_the_fleet_is_the_generators(capsys, tmp_path):
    options = ["--hosts", "30", "--seed", "4", "--fill", "0.6", "--spread.rack", "1", "--taken-at", "2026-01-02T03:04"]
    assert main(["fleet", "generate", *options, "-o", str(tmp_path / "fleet"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    settings = GeneratorSettings(hosts=30, seed=4, fill=0.6, spread={"rack": 1}, taken_at="2026-01-02T03:04Z")
    expected, got = generate_fleet(settings), read_snapshot(tmp_path / "fleet")
    assert got.meta == expected.meta
    assert got.vms.equals(expected.vms)
    assert printed["hosts"] == 30
    assert printed["vms"] == expected.vms.height


def test_a_settings_file_comes_after_the_options(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "hosts: 20\nseed: 9\nmachine_types:\n"
        "  - {name: big, vcpus: 128, memory_mib: 262144, migration_mbit_s: 25000, maintenance_s: 900}\n"
    )
    arguments = ["fleet", "generate", "--settings", str(path), "--hosts", "10", "-o", str(tmp_path / "fleet")]
    assert main(arguments) == 0
    hosts = read_snapshot(tmp_path / "fleet").hosts
    assert hosts.height == 10
    assert hosts["machine_type"].unique().to_list() == ["big"]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("fil: 0.5", "`fil`"),
        ("fill: 2", "`fill`"),
        ("fill: [", "is no YAML or JSON"),
        ("- fill", "holds no settings"),
        ("", "holds no settings"),
    ],
)
def test_a_wrong_settings_file(capsys, tmp_path, text, fact):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    assert main(["fleet", "generate", "--settings", str(path), "-o", str(tmp_path / "fleet")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: ")
    assert fact in error
    assert not (tmp_path / "fleet").exists()


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [("--fill", "2", "fill"), ("--hosts", "0", "hosts"), ("--empty-share", "0.95", "empty_share")],
)
def test_an_option_out_of_its_limits(capsys, tmp_path, option, value, named):
    assert main(["fleet", "generate", option, value, "-o", str(tmp_path / "fleet")]) == 2
    assert f"`{named}`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
