"""Campaigns that have one process."""

from pathlib import Path

import pytest

from slacktide.errors import ExecutionError
from slacktide.executors.campaign_directory import alone_in


def test_a_campaign_has_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path / "campaign"),
        pytest.raises(ExecutionError, match="carried out by another process"),
        alone_in(tmp_path / "campaign"),
    ):
        pass
    with alone_in(tmp_path / "campaign"):
        pass
