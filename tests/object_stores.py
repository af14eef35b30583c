"""A real object store on this machine: an S3 endpoint over HTTP, in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import s3fs
from ray_cluster import until


@dataclass(frozen=True)
class ObjectStore:
    """An S3 endpoint with one bucket."""

    environment: dict[str, str]
    """What a process needs to reach it, as an operator sets it."""
    url: str = "s3://fleets"


@contextmanager
def running_store(bucket: str = "fleets") -> Iterator[ObjectStore]:
    """Have an S3 endpoint at a free port of the loopback, with an empty bucket."""
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            environment = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{until(lambda: _port(server, said.fileno()), 60, 'S3 answers')}",
                "AWS_ACCESS_KEY_ID": "operator",
                "AWS_SECRET_ACCESS_KEY": "of-the-tests",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            subprocess.run(
                [sys.executable, "-c", f"import s3fs; s3fs.S3FileSystem().mkdir({bucket!r})"],
                env=os.environ | environment,
                check=True,
                timeout=120,
            )
            yield ObjectStore(environment, f"s3://{bucket}")
        finally:
            s3fs.S3FileSystem.clear_instance_cache()  # clients of this process that know this endpoint
            server.terminate()
            server.wait()


def _port(server: subprocess.Popen[bytes], said: int) -> str | None:
    """Return the port that the server says it listens on."""
    words = Path(f"/proc/self/fd/{said}").read_text()
    assert server.poll() is None, words
    return words.rpartition("http://127.0.0.1:")[2].split()[0] if "http://127.0.0.1:" in words else None
