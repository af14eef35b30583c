"""What tests with a real Ray share."""

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture
def ray_ends(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """End Ray after the test, and let it write to the terminal meanwhile.

    Ray ends the whole process where it cannot go on; what it says then would be lost with what pytest has captured.
    """
    with capfd.disabled():
        yield
        ray.shutdown()
