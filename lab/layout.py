"""What a lab is made of: names, addresses and places, all of them functions of its name and a few numbers."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from slacktide.atomic import write_file
from slacktide.errors import InputError, UsageError

FabricKind = Literal["bridge", "vxlan"]
ROOT: Final = Path("/run/slacktide-lab")
"""Where labs live.  In memory: nothing of a lab outlasts the machine's next start."""
MOST_HOSTS: Final = 200
"""Hosts are numbered in one byte of their addresses; memory and processors end sooner."""
SETTINGS_FILE: Final = "lab.json"
FABRIC_FILE: Final = "fabric.json"
"""What `slacktide run --fabric` is given."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
"""Names of network interfaces have fifteen characters; of namespaces and folders more."""


def refuse_wrong_name(name: str) -> None:
    """Do nothing if a lab may be called so: its name becomes part of paths.

    Raises
    ------
    UsageError
        If not.
    """
    if not _NAME.fullmatch(name):
        fact = "is no name for a lab"
        raise UsageError(f'"{name}"', fact, "Take up to 12 small letters and digits, a letter first")


@dataclass(frozen=True, slots=True)
class LabSettings:
    """What was asked for."""

    name: str
    hosts: int
    rate_mbit_s: int | None
    """What each direction of a host's migration link carries; null: it is not shaped."""
    fabric: FabricKind = "bridge"
    """What guests hang on: one learning switch, or tunnels between hosts whose tables are programmed."""
    fabric_delay_ms: float = 0.0
    """How long a change of those tables takes to arrive at each endpoint."""

    def __post_init__(self) -> None:
        refuse_wrong_name(self.name)
        if not 1 <= self.hosts <= MOST_HOSTS:
            fact = f"cannot have {self.hosts} hosts"
            raise UsageError(f"lab {self.name}", fact, f"Ask for 1 to {MOST_HOSTS}")
        if self.fabric_delay_ms and self.fabric != "vxlan":
            fact = "has a fabric that learns by itself, with no updates that could be late"
            raise UsageError(f"lab {self.name}", fact, "Ask for `--fabric vxlan` too")


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host: its number gives its name, its addresses and its place."""

    lab: str
    number: int

    @property
    def name(self) -> str:
        """Its host name, which is its id in a fleet."""
        return f"h{self.number}"

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return f"{self.lab}-{self.name}"

    @property
    def address(self) -> str:
        """Where its libvirtd listens; guests are in the same subnet."""
        return f"10.9.0.{self.number}"

    @property
    def migration_address(self) -> str:
        """Where migrations arrive."""
        return f"10.8.0.{self.number}"

    @property
    def folder(self) -> Path:
        """What it sees as its own configuration, state and certificates."""
        return ROOT / self.lab / self.name

    @property
    def socket(self) -> Path:
        """Its libvirtd's socket, as seen from outside."""
        return self.folder / "run" / "libvirt-sock"

    @property
    def uri(self) -> str:
        """Its libvirtd, from this machine."""
        return f"qemu+unix:///system?socket={self.socket}"


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab and its places."""

    settings: LabSettings

    @property
    def name(self) -> str:
        """What tells it from other labs on the machine."""
        return self.settings.name

    @property
    def folder(self) -> Path:
        """Everything that it writes."""
        return ROOT / self.name

    @property
    def switch(self) -> str:
        """The namespace with the bridges that hosts hang on."""
        return f"{self.name}-switch"

    @property
    def control(self) -> str:
        """The namespace from which hosts and guests are reached and heard."""
        return f"{self.name}-control"

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """The hosts that it was made with, in order."""
        return tuple(LabHost(self.name, number) for number in range(1, self.settings.hosts + 1))

    def begin(self) -> None:
        """Make the lab's folder and write down what the lab is, before anything else of it is made."""
        self.folder.mkdir(parents=True)
        self.save()

    def save(self) -> None:
        """Write down what the lab is."""
        write_file(self.folder / SETTINGS_FILE, json.dumps(asdict(self.settings)).encode())


def read_lab(name: str) -> Lab:
    """Return the lab of this name.

    Raises
    ------
    UsageError
        If there is none.
    InputError
        If what it wrote of itself cannot be read.
    """
    refuse_wrong_name(name)
    path = ROOT / name / SETTINGS_FILE
    try:
        return Lab(LabSettings(**json.loads(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise UsageError(f"lab {name}", "is not up", "Start it: `slacktide lab up`") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(str(path), f"cannot be read: {error}", f"Run `slacktide lab down --name {name}`") from error
