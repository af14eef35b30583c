"""Files that are read and are wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from slacktide.errors import InputError


def fault_of(read: Callable[[Path], object], path: Path, text: str) -> str:
    """Return what ``read`` says about a file with this text: it names the file, and a remedy for each finding."""
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert caught.value.findings
    assert all(finding.file == path.name and finding.remedy for finding in caught.value.findings)
    return str(caught.value)
