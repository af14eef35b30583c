"""Folders of the machine that labs need and that were not there: made, remembered, and taken away with the last lab."""

import json
from pathlib import Path
from typing import Final

from slacktide.atomic import write_file
from slacktide.executors.probes.namespaces import NAMESPACES
from slacktide.lab.commands import run
from slacktide.lab.host import BINDS
from slacktide.lab.layout import ROOT, SETTINGS_FILE, Lab

FILE: Final = "places.json"


def make_places(lab: Lab) -> None:
    """Make the folders that hosts see their own in place of, and remember which were not there.

    That for namespaces is not made here but by the first `ip netns add`, which mounts it on itself.
    """
    missing = [place for place in BINDS.values() if not Path(place).is_dir()]
    made = [*missing, *([] if _mounted(NAMESPACES) else [str(NAMESPACES)])]
    _write(lab.folder, made)
    for place in missing:
        Path(place).mkdir(parents=True)


def remove_places(folder: Path) -> None:
    """Take away what the lab in ``folder`` had to make, if nothing is in it; another lab takes it over."""
    made = _read(folder)
    other = next((path for path in ROOT.iterdir() if path != folder and (path / SETTINGS_FILE).exists()), None)
    if other is not None:
        _write(other, [*made, *_read(other)])
        return
    for place in map(Path, made):
        if not place.is_dir() or any(place.iterdir()):
            continue
        if _mounted(place):
            run(["umount", str(place)])
        place.rmdir()


def _mounted(place: Path) -> bool:
    """Return whether something is mounted there, be it a folder on itself, which ``os.path.ismount`` does not see."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split()[4] == str(place) for line in lines)


def _read(folder: Path) -> list[str]:
    try:
        made: list[str] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return made


def _write(folder: Path, made: list[str]) -> None:
    write_file(folder / FILE, json.dumps(made).encode())
