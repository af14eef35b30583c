"""A disk that is full for real: the process may write no file beyond a few KiB."""

import subprocess
import sys
from pathlib import Path

import pytest

from slacktide.datasets.files import write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.errors import OutputError

pytestmark = pytest.mark.integration

PROGRAM = """
import resource, sys
from pathlib import Path
from slacktide.datasets.files import write_snapshot
from slacktide.datasets.generator import generate_fleet
from slacktide.datasets.generator_settings import GeneratorSettings
from slacktide.errors import OutputError

path = Path(sys.argv[1])
if sys.argv[2] == "replace":
    write_snapshot(generate_fleet(GeneratorSettings(hosts=20)), path)
fleet = generate_fleet(GeneratorSettings(hosts=2_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_snapshot(fleet, path)
except OutputError as error:
    sys.exit(f"refused: {error}")
"""


def write_in_little_room(path: Path, what: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path), what], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path):
    message = write_in_little_room(tmp_path / "fleet", "new")
    assert message.startswith(f"refused: {tmp_path / 'fleet'}: cannot be written: File too large")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_snapshot(tmp_path):
    message = write_in_little_room(tmp_path / "fleet", "replace")
    assert "cannot be written" in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["fleet"]
    assert len(list((tmp_path / "fleet").iterdir())) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_device_that_is_full_is_an_output_error(tmp_path, monkeypatch):
    real_open = Path.open

    def open_full(self: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if self.name == "vms.parquet" and mode in {"xb", "wb"}:
            return real_open(Path("/dev/full"), "wb")
        return real_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_snapshot(generate_fleet(GeneratorSettings(hosts=20)), tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []
