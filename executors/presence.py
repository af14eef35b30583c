"""Whether a file is there, as far as this user can see: a folder may be one that it may not enter."""

import os
from pathlib import Path


def is_missing(path: Path) -> bool:
    """Return whether something is known not to be there; what cannot be looked for is not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_hidden(path: Path) -> bool:
    """Return whether this user cannot see if something is there."""
    return not is_missing(path) and not os.access(path, os.F_OK)
