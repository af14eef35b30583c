"""Programs of the system that the lab calls, each with an error that says what it said."""

import subprocess
from collections.abc import Sequence

from slacktide.errors import ExecutionError


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a program to its end, ``text`` on its standard input, and return what it wrote.

    Raises
    ------
    ExecutionError
        If it fails, with its own words.
    """
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or "nothing"
        fact = f"ended with {done.returncode} and said: {said}"
        raise ExecutionError(" ".join(command), fact, "Mend that; `slacktide lab down` takes away what is left")
    return done.stdout
