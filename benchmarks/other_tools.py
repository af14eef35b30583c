"""Other tools, each run as a process: what they print, the seconds and the memory they take."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.DEVNULL)
print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""
"""A process counts the memory of the one that starts it as its own; so a small one starts it, and measures."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool printed, and what it took."""

    text: str
    seconds: float
    peak_mib: float


def ask(command: list[str], limit_s: float) -> Answer | None:
    """Return what a command prints, None: it failed, or took longer than ``limit_s``."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "printed"
        begun_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", MEASURED, str(printed), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
        code, peak_mib = json.loads(output)
        return Answer(printed.read_text(), time.monotonic() - begun_s, peak_mib) if code == 0 else None
