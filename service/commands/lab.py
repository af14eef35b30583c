"""``slacktide lab``: real libvirt hosts on this machine, for trials and tests."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from slacktide.lab.guest_image import Kind
from slacktide.lab.layout import FabricKind
from slacktide.service.commands.options import AsJson
from slacktide.service.console import document, figures, progress, show
from slacktide.service.failures import OK
from slacktide.service.interrupts import ends_as_interrupts
from slacktide.service.words import counted

if TYPE_CHECKING:
    from slacktide.lab.guests import Guest
    from slacktide.lab.lifecycle import LabStatus

lab = App(
    name="lab",
    help="Real libvirt hosts side by side on this machine, as root on Linux: to try a plan on, and to test with.",
    help_epilogue="",
    sort_key=14,
)
Name = Annotated[str, Parameter(help="What tells it from other labs on this machine.")]
LINUX_MIB = 64
"""What a Linux kernel takes more than none, in guests of up to 128 MiB."""
AtLeastOne = Annotated[int, Parameter(validator=Number(gte=1))]


@lab.command
def up(
    *,
    hosts: AtLeastOne = 4,
    guests: Annotated[int, Parameter(validator=Number(gte=0))] = 12,
    kind: Kind = "bare",
    asking: bool = False,
    rate_mbit_s: Annotated[int, Parameter(validator=Number(gte=0))] = 1000,
    fabric: FabricKind = "bridge",
    fabric_delay_ms: Annotated[float, Parameter(validator=Number(gte=0, lte=60_000))] = 0.0,
    name: Name = "lab",
    as_json: AsJson = False,
) -> int:
    """Start hosts and guests, and wait until every guest beats.

    Parameters
    ----------
    hosts
        Hosts, each with a libvirtd, an identity and certificates of its own.
    guests
        Guests, spread over the hosts in turn. Each third one dirties memory, at different rates.
    kind
        What guests are: a program without an operating system, or a Linux kernel with one program, which does the same
        and takes 64 MiB more.
    asking
        Guests of Linux ask their host what is to come for them, and write it to their consoles.
    rate_mbit_s
        What the migration link of a host carries in each direction, in Mbit/s; 0: as much as the machine can.
    fabric
        What guests hang on: `bridge`, a switch that learns where they are, or `vxlan`, tunnels between hosts over
        routed links, whose tables a campaign with `--fabric` programs.
    fabric_delay_ms
        How long a change of those tables takes to arrive at each endpoint.
    """
    with ends_as_interrupts(), progress("Starting the lab") as told:
        from slacktide.lab.layout import LabSettings
        from slacktide.lab.lifecycle import status
        from slacktide.lab.lifecycle import up as start

        settings = LabSettings(name, hosts, rate_mbit_s or None, fabric, fabric_delay_ms)
        start(settings, _guests(guests, kind, asks=asking), told)
        found = status(name)
    _show(found, as_json=as_json)
    return OK


@lab.command(name="status")
def show_status(*, name: Name = "lab", as_json: AsJson = False) -> int:
    """Show hosts, what runs on them, and whose heart beats."""
    with progress("Listening to the lab"):
        from slacktide.lab.lifecycle import status

        found = status(name)
    _show(found, as_json=as_json)
    return OK


@lab.command
def add_host(*, name: Name = "lab", as_json: AsJson = False) -> int:
    """Start one host more, empty, in a lab that is up."""
    with ends_as_interrupts(), progress("Starting a host"):
        from slacktide.lab.lifecycle import add_host as add
        from slacktide.lab.lifecycle import status

        add(name)
        found = status(name)
    _show(found, as_json=as_json)
    return OK


@lab.command
def reboot(host: Annotated[str, Parameter(help="Name of the host, such as h1.")], /, *, name: Name = "lab") -> int:
    """Switch a host off and on again: what a patch of it ends with. Guests that are on it end."""
    with progress(f"Rebooting {host}"):
        from slacktide.lab.lifecycle import reboot as switch

        switch(name, host)
    show(f"Host {host} of lab {name} is back")
    return OK


@lab.command
def down(*, name: Name = "lab") -> int:
    """Take a lab down without a trace, whatever is left of it."""
    with progress("Taking the lab down"):
        from slacktide.lab.lifecycle import down as stop

        there = stop(name)
    show(f"Lab {name} is down" if there else f"There is no lab {name}")
    return OK


def _guests(count: int, kind: Kind, *, asks: bool = False) -> "list[Guest]":
    """Return guests of six sizes in turn: quiet ones, and every third one dirties memory."""
    from slacktide.lab.guests import Guest

    kernel_mib = LINUX_MIB if kind == "linux" else 0
    sizes = (
        {"memory_mib": kernel_mib + 64, "working_set_mib": 32},
        {"memory_mib": kernel_mib + 96, "working_set_mib": 64},
        {"memory_mib": kernel_mib + 64, "working_set_mib": 32, "dirty_mib_s": 4.0},
        {"memory_mib": kernel_mib + 128, "working_set_mib": 96, "disk_mib": 32},
        {"memory_mib": kernel_mib + 48, "working_set_mib": 16},
        {"memory_mib": kernel_mib + 96, "working_set_mib": 48, "dirty_mib_s": 16.0},
    )
    return [Guest(number, **sizes[(number - 1) % len(sizes)], kind=kind, asks=asks) for number in range(1, count + 1)]


def _show(found: "LabStatus", *, as_json: bool) -> None:
    if as_json:
        document(asdict(found))
        return
    running = sum(len(host.guests) for host in found.hosts)
    rate = "links are not shaped" if found.rate_mbit_s is None else f"migration links of {found.rate_mbit_s:,} Mbit/s"
    tunnels = f", guests on VXLAN, its tables {found.fabric_delay_ms:g} ms late" if found.fabric == "vxlan" else ""
    show(f"Lab {found.name}: {counted(len(found.hosts), 'host')}, {rate}{tunnels}")
    rows = [(host.name, _state(host.on, host.libvirtd), ", ".join(host.guests), host.uri) for host in found.hosts]
    show(figures(rows))
    off = [f"{guest} on {host.name}" for host in found.hosts for guest in host.off]
    beat = f"{len(found.beating)} of {counted(running, 'guest')} beat, {counted(found.bad_pages, 'bad page')}"
    show(f"{beat}; off: {', '.join(off)}" if off else beat)


def _state(on: bool, libvirtd: bool) -> str:
    if not on:
        return "off"
    return "on" if libvirtd else "on, no libvirtd"
