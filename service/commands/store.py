"""``slacktide store``: backups of campaigns and of the server's data, and what a restored campaign waits for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from slacktide.service.commands.options import AsJson, Output
from slacktide.service.commands.serve import default_data
from slacktide.service.console import document, figures, findings_text, progress, show, tell
from slacktide.service.failures import OK, REFUSED
from slacktide.service.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slacktide.ids import CampaignId

store = App(
    name="store", help="Copies of campaigns and of the server's data, and their return.", help_epilogue="", sort_key=16
)
Directory = Annotated[
    Path | None,
    Parameter(
        name="DIRECTORY",
        help="The server's data directory, or a campaign's. [default: the server's; none with --store]",
    ),
]
Url = Annotated[
    str | None,
    Parameter(name="--store", help="URL of the store. [default: where the directory has it, SLACKTIDE_STORE]"),
]


@store.command(sort_key=1)
def backup(directory: Directory = None, /, *, output: Output, store: Url = None, as_json: AsJson = False) -> int:
    """Copy a store, and the directory beside it, as they are at one moment; campaigns and server go on meanwhile.

    Parameters
    ----------
    output
        Directory to write, which must not exist.
    """
    from slacktide.service.backup.making import make_backup
    from slacktide.service.backup.places import place_of

    place = place_of(directory, store, default_data())
    with progress("Copying"):
        made = make_backup(place, output)
    if as_json:
        document(made.model_dump(mode="json", exclude={"files"}) | {"files": len(made.files)})
        return OK
    mib = sum(file.bytes for file in made.files.values()) / 2**20
    running = sum(campaign.state is None for campaign in made.campaigns)
    beside = f"{running} not finished" if running else "all finished"
    show(
        figures(
            [
                ("backup", str(output), f"of {made.made_at}"),
                ("store", place.store.shown, ""),
                ("files", f"{len(made.files):,}", f"{mib:,.1f} MiB"),
                ("campaigns", f"{len(made.campaigns):,}", beside if made.campaigns else ""),
            ]
        )
    )
    if place.kind != "server":
        tell("fleets and plans outside the directory are not in it: keep copies of them")
    return OK


@store.command(sort_key=2)
def restore(
    path: Annotated[Path, Parameter(name="BACKUP", help="Directory of a backup.")],
    directory: Directory = None,
    /,
    *,
    store: Url = None,
    as_json: AsJson = False,
) -> int:
    """Put a backup back where nothing is, into a SQLite file or a PostgreSQL database, whichever it came from.

    Nothing is overwritten. Campaigns on real hosts wait for `store release`, since what was done after the backup is in
    no journal; simulated ones go on.
    """
    from slacktide.service.backup.manifest import read_manifest
    from slacktide.service.backup.places import target_of
    from slacktide.service.backup.restoring import restore_backup

    target = target_of(read_manifest(path).kind, directory, store, default_data())
    with progress("Restoring"):
        done = restore_backup(path, target)
    if as_json:
        document(
            {
                "made_at": done.manifest.made_at,
                "directory": None if target.directory is None else str(target.directory),
                "store": target.store.kept,
                "campaigns": len(done.manifest.campaigns),
                "waiting_for_release": list(done.waiting),
            }
        )
        return OK
    rows = [("store", target.store.shown, f"as of {done.manifest.made_at}")]
    if target.directory is not None:
        rows.append(("directory", str(target.directory), ""))
    show(figures([*rows, ("campaigns", f"{len(done.manifest.campaigns):,}", "")]))
    _tell_waiting(done.waiting)
    return OK


@store.command(sort_key=3)
def check(directory: Directory = None, /, *, store: Url = None, as_json: AsJson = False) -> int:
    """Look whether a store is whole, and has the files that it names; or whether a backup is, file by file.

    Exit code 1 if there is an error; warnings are told, and count for nothing.
    """
    from slacktide.findings import errors_in
    from slacktide.service.backup.checking import check_backup, check_place
    from slacktide.service.backup.manifest import MANIFEST
    from slacktide.service.backup.places import place_of

    is_backup = directory is not None and (directory / MANIFEST).is_file()
    with progress("Checking"):
        if directory is not None and is_backup:
            what, found = str(directory), check_backup(directory)
        else:
            place = place_of(directory, store, default_data())
            what, found = place.store.shown, check_place(place)
    if as_json:
        document({"checked": what, "findings": [finding.as_dict() for finding in found]})
    elif found:
        show(findings_text(found))
    else:
        show(f"{what}: is whole")
    return REFUSED if errors_in(found) else OK


@store.command(sort_key=4)
def fence(directory: Directory = None, /, *, store: Url = None) -> int:
    """Say that a store came back by other means, such as pg_restore: as `store restore` says of its own.

    Whoever held a campaign is fenced off, and campaigns on real hosts wait for `store release`.
    """
    from slacktide.service.backup.places import place_of
    from slacktide.service.backup.restoring import fence as fenced

    place = place_of(directory, store, default_data())
    waiting = fenced(place.store)
    show(f"{place.store.shown}: whoever held its campaigns is fenced off")
    _tell_waiting(waiting)
    return OK


@store.command(sort_key=5)
def release(
    campaign: Annotated[str, Parameter(name="CAMPAIGN", help="Id of the campaign.")],
    directory: Directory = None,
    /,
    *,
    store: Url = None,
) -> int:
    """Let a restored campaign on real hosts go on from its journal.

    Only where nothing was done on its hosts after the backup was made. Else import the hosts as they are, and plan
    anew.
    """
    from slacktide.executors.store.restored import release as released
    from slacktide.ids import CampaignId
    from slacktide.service.backup.places import place_of

    place = place_of(directory, store, default_data())
    released(place.store, CampaignId(campaign))
    show(f"campaign {campaign} may go on: `slacktide run` with its fleet and plan, or its start in the server's API")
    return OK


def _tell_waiting(campaigns: "Sequence[CampaignId]") -> None:
    if campaigns:
        many = counted(len(campaigns), "campaign")
        tell(f"{many} on real hosts: nobody goes on with them before `slacktide store release`: {', '.join(campaigns)}")
        tell("what was done on their hosts after the backup is in no journal: see docs/operations.md before you do so")
