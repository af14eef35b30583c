"""``slacktide fleet``: snapshots are generated, imported, checked and shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from slacktide.errors import InputError, UsageError
from slacktide.object_store import AnyPath
from slacktide.service.commands.generate_options import GenerateOptions
from slacktide.service.commands.options import (
    HERE,
    Afar,
    AsJson,
    Count,
    FleetPath,
    OutputOrUrl,
    Seed,
    Share,
)
from slacktide.service.console import document, figures, findings_text, progress, show
from slacktide.service.destinations import check_directory
from slacktide.service.failures import OK, REFUSED
from slacktide.service.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slacktide.datasets.generator_settings import GeneratorSettings
    from slacktide.datasets.snapshot import FleetSnapshot
    from slacktide.datasets.summary import FleetSummary
    from slacktide.findings import Finding

fleet = App(
    name="fleet",
    help="Fleet snapshots: hosts, VMs, services, links and failure domains at one moment.",
    help_epilogue="",
    sort_key=1,
)
imports = App(name="import", help="Make a fleet snapshot from live hosts, or from real traces.", help_epilogue="")
fleet.command(imports)


@fleet.command
def generate(
    *,
    output: OutputOrUrl,
    settings: Path | None = None,
    options: GenerateOptions | None = None,
    as_json: AsJson = False,
) -> int:
    """Generate a fleet with sizes of real VMs; the same options give the same fleet, byte for byte.

    Parameters
    ----------
    output
        Directory to write, or its URL; a fleet snapshot that is there is replaced.
    settings
        YAML or JSON file with any settings of the generator, machine types, VM sizes, dirty-rate profiles and service
        sizes among them; options on the command line come before it.
    """
    check_directory(output, fleet_files())
    with progress("Generating the fleet"):
        from slacktide.datasets.generator import generate_fleet

        snapshot = generate_fleet(_settings(settings, options or GenerateOptions()))
    return written(snapshot, output, as_json=as_json)


@imports.command
def huawei_alibaba(
    *,
    output: OutputOrUrl,
    machines: Path,
    vms: Path,
    at: float | None = None,
    hosts: Count | None = None,
    fill: Annotated[float, Parameter(validator=Number(gte=0.01, lte=0.95))] = 0.75,
    empty_share: Annotated[float, Parameter(validator=Number(gte=0, lte=0.9))] = 0.02,
    largest_vm_share: Share = 1.0,
    seed: Seed = 1,
    vms_as_they_are: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
) -> int:
    """Put the VMs of Huawei-East-1 on the machines and failure domains of Alibaba's cluster trace 2018.

    Parameters
    ----------
    output
        Directory to write, or its URL; a fleet snapshot that is there is replaced.
    machines
        Alibaba's machines, CSV.
    vms
        Huawei's VM requests, CSV.
    at
        Moment in the VM trace's own unit of time. [default: when the most VMs are alive]
    hosts
        Machines to take, rack by rack. [default: all]
    fill
        Share of the memory of machines in service that VMs use.
    empty_share
        Share of machines kept free of VMs.
    largest_vm_share
        Largest VM as a share of a machine.
    seed
        Decides which sizes go where.
    vms_as_they_are
        Just the VMs alive at the moment, on as many machines as they need; else their sizes are drawn again until all
        machines are full.
    """
    check_directory(output, fleet_files())
    with progress("Importing the traces"):
        from slacktide.datasets.importers.huawei_on_alibaba import ImportOptions, import_huawei_on_alibaba

        options = ImportOptions(
            vms="alive" if vms_as_they_are else "resampled",
            at=at,
            hosts=hosts,
            seed=seed,
            fill=fill,
            empty_share=empty_share,
            largest_vm_share=largest_vm_share,
        )
        snapshot = import_huawei_on_alibaba(machines, vms, options)
    return written(snapshot, output, as_json=as_json)


@fleet.command
def check(path: FleetPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Check everything about a fleet snapshot, and list each finding with its place and remedy.

    The exit code is 1 if a finding is an error; warnings alone give 0.
    """
    from slacktide.findings import errors_in

    findings = _findings(afar, path)
    errors = len(errors_in(findings))
    warnings = len(findings) - errors
    if as_json:
        data = {"errors": errors, "warnings": warnings, "findings": [finding.as_dict() for finding in findings]}
        document(data)
    else:
        if findings:
            show(findings_text(findings))
        show(f"{path}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    return REFUSED if errors else OK


@fleet.command(name="show")
def show_fleet(path: FleetPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Show a fleet at a glance: hosts, VMs, fill, domains, services, links, and what is unknown."""
    if afar.named:
        from slacktide.service.afar.fleets import summary_of

        show_summary(summary_of(afar, path), f"Fleet {path}", as_json=as_json)
        return OK
    with progress("Reading the fleet"):
        from slacktide.datasets.files import read_snapshot

        snapshot = read_snapshot(path)
    _show(snapshot, f"Fleet {path}", as_json=as_json)
    return OK


@fleet.command(name="list")
def list_all(*, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """List the fleets that a server has."""
    from slacktide.service.afar.fleets import list_all as listed

    return listed(afar, as_json=as_json)


@fleet.command
def upload(path: FleetPath, /, *, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Send a fleet to a server, which checks it; one that it has already is not sent again."""
    from slacktide.service.afar.fleets import upload as sent

    return sent(afar, path, as_json=as_json)


@fleet.command
def fetch(path: FleetPath, /, *, output: OutputOrUrl, afar: Afar = HERE, as_json: AsJson = False) -> int:
    """Write a fleet of a server's to a directory here.

    Parameters
    ----------
    output
        Directory to write; a fleet snapshot that is there is replaced.
    """
    from slacktide.service.afar.fleets import fetch as fetched

    check_directory(output, fleet_files())
    show_summary(fetched(afar, path, output), f"Wrote fleet {output}", as_json=as_json)
    return OK


def _findings(afar: Afar, path: AnyPath) -> "Sequence[Finding]":
    if afar.named:
        from slacktide.service.afar.fleets import checked

        return checked(afar, path)
    with progress("Checking the fleet"):
        from slacktide.datasets.files import check_snapshot

        return check_snapshot(path)[1]


def written(snapshot: "FleetSnapshot", output: AnyPath, *, as_json: bool) -> int:
    """Write a fleet and show it."""
    with progress("Writing the fleet"):
        from slacktide.datasets.files import write_snapshot

        write_snapshot(snapshot, output)
    _show(snapshot, f"Wrote fleet {output}", as_json=as_json)
    return OK


def _show(snapshot: "FleetSnapshot", title: str, *, as_json: bool) -> None:
    from slacktide.datasets.summary import summarise

    show_summary(summarise(snapshot), title, as_json=as_json)


def show_summary(summary: "FleetSummary", title: str, *, as_json: bool) -> None:
    """Print a fleet's figures."""
    from slacktide.service.fleet_text import fleet_rows

    if as_json:
        document(summary.as_dict())
    else:
        show(title)
        show(figures(fleet_rows(summary)))


def fleet_files() -> tuple[str, ...]:
    """Return the names of a fleet's files."""
    from slacktide.datasets.files import FILE_NAMES

    return FILE_NAMES


def _settings(path: Path | None, options: GenerateOptions) -> "GeneratorSettings":
    """Return the settings of a file, if there is one, with the options in their place.

    Raises
    ------
    UsageError
        If there is no such file, or an option is out of its limits.
    InputError
        If the file's content is wrong.
    """
    from slacktide.datasets.generator_settings import generator_settings

    fields = {} if path is None else _settings_file(path)
    try:
        generator_settings(fields)
    except UsageError as error:
        raise InputError(str(path), error.fact, "Correct the field") from error
    return generator_settings(fields | options.given())


def _settings_file(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        raise UsageError(str(path), "there is no such file", "Give the path of a YAML or JSON file")
    remedy = "Write settings and values, such as `fill: 0.8`"
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(str(path), f"is no YAML or JSON: {' '.join(str(error).split())}", remedy) from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise InputError(str(path), "holds no settings", remedy)
    return fields
