"""What people give for a reason, or as their name: one line of text, wherever they give it."""

import re
from typing import Final

MOST_SAID: Final = 500
"""Characters of a reason or a name: they stand in a line of `campaign show` and of the report."""
ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
"""Text without line breaks and other control characters, as patterns of JSON schemas are written."""
_LONE: Final = re.compile("[\ud800-\udfff]")


def is_one_line(text: str) -> bool:
    """Return whether a text is one line, and can be written in UTF-8."""
    return re.fullmatch(ONE_LINE, text) is not None and _LONE.search(text) is None
