"""Hosts that a request names and its fleet does not have: refused with the names that were likely meant."""

from pathlib import Path

import polars as pl
import pytest

from slacktide.errors import UsageError
from slacktide.service.jobs.selecting import refuse_unknown
from slacktide.service.kept_sums import note_sums


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("long" * 40 + "-r0431-h17", "long" * 40 + "-rack-0431-h17"),
        ("log" + "long" * 39 + "-rack-0777-h03", "long" * 40 + "-rack-0777-h03"),
        ("long" * 40 + "-rack-0999-h1", "long" * 40 + "-rack-0999-h19"),
    ],
)
def test_of_many_long_names_the_nearest_are_told(tmp_path: Path, name: str, meant: str) -> None:
    hosts = [f"{'long' * 40}-rack-{rack:04d}-h{slot:02d}" for rack in range(1000) for slot in range(20)]
    same = pl.repeat("m", len(hosts), eager=True)
    table = pl.DataFrame({"host_id": hosts, "machine_type": same, "patch_level": same})
    table.write_parquet(tmp_path / "hosts.parquet")
    note_sums(tmp_path)
    with pytest.raises(UsageError, match="the fleet has no host") as refused:
        refuse_unknown(tmp_path, (name,), "body.hosts")
    assert meant in refused.value.remedy
