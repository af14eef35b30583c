"""The set-up on machines that lack something: the remedy is printed, nothing half-made is left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


def set_up(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Return what ``make set-up`` says with an interpreter, in a folder of its own."""
    (folder / ".ci").mkdir()
    for name in ("Makefile", ".ci/set-up", "requirements.lock", "requirements-libvirt.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    return subprocess.run(
        ["make", "set-up", f"PYTHON={python}"], cwd=folder, capture_output=True, text=True, check=False
    )


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def refused(checkout: Path, python: str) -> str:
    done = set_up(checkout, python)
    assert done.returncode == 2
    assert not (checkout / ".venv").exists()
    return done.stderr


def test_a_python_without_venv(checkout, tmp_path):
    (tmp_path / "block" / "ensurepip").mkdir(parents=True)
    (tmp_path / "block" / "ensurepip" / "__init__.py").write_text("raise ImportError\n")
    python = script(tmp_path / "python", f'PYTHONPATH={tmp_path / "block"} exec {sys.executable} "$@"')
    assert "install the missing part: apt-get install python3-venv" in refused(checkout, python)


def test_no_python(checkout):
    assert "no Python found; install it: apt-get install python3 python3-venv" in refused(checkout, "no-such-python")


def test_an_old_python(checkout, tmp_path):
    python = script(tmp_path / "python", 'case "$1" in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    assert "is Python 3.9.2, Slacktide needs Python 3.11, 3.12 or 3.13" in refused(checkout, python)


def test_a_venv_that_cannot_be_made(checkout, tmp_path):
    text = f'case "$*" in *"-m venv"*) mkdir .venv; exit 1 ;; *) exec {sys.executable} "$@" ;; esac'
    assert "could not make .venv" in refused(checkout, script(tmp_path / "python", text))
