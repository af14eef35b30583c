"""Grafana's dashboard where an operator wants it."""

from pathlib import Path

import pytest

from slacktide.executors.measuring.dashboard import DASHBOARD_FILE
from slacktide.service.cli import main


def test_its_folder_is_made(tmp_path: Path) -> None:
    assert main(["metrics", "dashboard", "-o", str(tmp_path / "new" / "folder")]) == 0
    assert (tmp_path / "new" / "folder" / DASHBOARD_FILE).is_file()


def test_one_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["metrics", "dashboard", "-o", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot be made" in capsys.readouterr().err
