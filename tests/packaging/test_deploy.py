"""Units, environment files and the container file: what they say is so, and where their tools are here, these agree."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slacktide.service.cli import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="UNITS ARE NOT VERIFIED: systemd-analyze is not installed"
)


def placed(unit: Path, folder: Path) -> Path:
    """Return a unit that leads to programs which are there."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("slacktide", "ray"):
        shutil.copy("/bin/true", programs / name)
    made = folder / unit.name
    made.write_text(unit.read_text().replace("/opt/slacktide/bin", str(programs)))
    return made


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    made = placed(unit, tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    about_it = [line for line in done.stderr.splitlines() if unit.name in line or str(made) in line]
    assert (done.returncode, about_it) == (0, []), done.stderr


@needs_systemd
@pytest.mark.parametrize("name", ["serve", "triggers"])
def test_what_listens_may_do_little(name: str, tmp_path: Path) -> None:
    made = placed(DEPLOY / "systemd" / f"slacktide-{name}.service", tmp_path)
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_units_of_ray_are_those_of_the_documentation() -> None:
    documented = re.findall(r"```ini\n(# /etc/systemd.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    shipped = [(DEPLOY / "systemd" / f"slacktide-ray-{name}.service").read_text() for name in ("head", "node")]
    assert documented == shipped
    (environment,) = re.findall(
        r"```ini\n(# /etc/slacktide/ray.env.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL
    )
    assert environment == (DEPLOY / "ray.env").read_text()


def started(unit: Path) -> list[str]:
    """Return the words that a unit starts, with what its environment file may add."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    return shlex.split(line)


def test_units_and_environment_start_what_the_command_line_knows() -> None:
    for name in ("serve", "triggers"):
        words = started(DEPLOY / "systemd" / f"slacktide-{name}.service")
        assert words[0] == "/opt/slacktide/bin/slacktide"
        app.parse_args([word for word in words[1:] if not word.startswith("$")], print_error=False, exit_on_error=False)
    options = re.findall(r"^#?SLACKTIDE_SERVE_OPTIONS=(.*)$", (DEPLOY / "slacktide.env").read_text(), re.MULTILINE)
    assert len(options) == 3
    for given in options:
        app.parse_args(["serve", *shlex.split(given)], print_error=False, exit_on_error=False)


@needs_systemd
def test_the_nightly_unit_of_the_documentation_runs_where_it_may_write(tmp_path: Path) -> None:
    (documented,) = re.findall(
        r"^```ini\n(.*?)^```", (ROOT / "docs" / "batch.md").read_text(), re.DOTALL | re.MULTILINE
    )
    service = documented.partition("# /etc/systemd/system/slacktide-nightly.timer\n")[0]
    settings = dict(re.findall(r"^(\w+)=(.*)$", service, re.MULTILINE))
    assert settings["WorkingDirectory"] == f"/var/lib/{settings['StateDirectory']}"
    serving = (DEPLOY / "systemd" / "slacktide-serve.service").read_text()
    assert f"\nStateDirectoryMode={settings['StateDirectoryMode']}\n" in serving, "both make the same folder"
    made = tmp_path / "slacktide-nightly.service"
    made.write_text(service.replace(settings["ExecStart"], "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(made)]
    done = subprocess.run(command, capture_output=True, text=True)
    about_it = [line for line in done.stderr.splitlines() if made.name in line]
    assert (done.returncode, about_it) == (0, []), done.stderr


def test_a_campaign_outlives_the_unit_that_began_it() -> None:
    for unit in UNITS:
        assert "KillMode=process\n" in unit.read_text(), unit.name
        settings = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))
        assert settings.get("PrivateTmp", "no") == settings.get("RemoveIPC", "no") == "no", "removed with the unit"
        if settings.get("ProtectSystem") == "strict":
            assert settings["ReadWritePaths"] == "/tmp /var/tmp", unit.name


def test_the_container_runs_as_nobody_in_particular_and_says_how_it_is() -> None:
    last = CONTAINERFILE.rsplit("\nFROM ", 1)[1]
    user = last.index("\nUSER slacktide\n")
    assert user < last.index("\nENTRYPOINT ")
    assert "USER root" not in last
    assert "/healthz" in last
    for text in (CONTAINERFILE, (ROOT / "docs" / "operations.md").read_text()):
        assert re.findall(r"podman build (.*) -f deploy/Containerfile", text) == ["--format docker"], "OCI has no check"
    assert last.index("\nUSER slacktide\n") < last.index("\nWORKDIR /var/lib/slacktide\nVOLUME "), "kept, and writable"
    assert re.search(r'^CMD \["serve"\]$', last, re.MULTILINE)
    assert "gcc" not in last, "nothing that compiles is in the image"
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())


def test_the_container_has_what_slacktide_needs_with_hashes_and_no_more() -> None:
    script = [sys.executable, str(DEPLOY / "runtime_requirements.py"), str(ROOT / "requirements.lock")]
    lines = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    names = set(re.findall(r"^([a-z0-9._-]+)==", lines, re.MULTILINE))
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert declared is not None
    wanted = {re.match(r"[A-Za-z0-9._-]+", word).group().lower() for word in re.findall(r'"(.*?)"', declared.group(1))}
    assert wanted <= names
    assert "setuptools" in names
    for installed in re.findall(r"/pip install (.*?)(?: && \\)?$", CONTAINERFILE, re.MULTILINE):
        assert "--require-hashes" in installed or installed.endswith("--no-deps --no-build-isolation ."), installed
    assert names.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "ansible-core", "schemathesis"})
    for block in re.split(r"^(?=[a-z0-9])", lines, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block
