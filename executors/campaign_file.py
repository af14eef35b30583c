"""``campaign.json``: in which store the campaign of a directory is, and under which id; never a password."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from slacktide.atomic import write_file
from slacktide.errors import InputError, SlacktideError, UsageError
from slacktide.executors.beginning import BEGINNING_FILE
from slacktide.executors.starting import STARTING_FILE, process_starting
from slacktide.executors.store.address import Store, parse_store, store_in
from slacktide.ids import CampaignId

CAMPAIGN_FILE: Final = "campaign.json"
JOURNAL_FILE: Final = "journal.sqlite"
"""The store of a campaign that is kept in its own directory."""
RAY_LOG_FILE: Final = "ray.log"
"""What Ray says; taken away at the end where it has said nothing.  A campaign that could not be begun may leave it."""
CAMPAIGN_FILES: Final = (CAMPAIGN_FILE, JOURNAL_FILE)
"""A directory that holds a campaign holds one of them; those of older releases have no ``campaign.json``."""
_LEFT: Final = (
    RAY_LOG_FILE,
    STARTING_FILE,
    BEGINNING_FILE,
    JOURNAL_FILE,
    f"{JOURNAL_FILE}-wal",
    f"{JOURNAL_FILE}-shm",
    f".{CAMPAIGN_FILE}.*.partial",
)
"""What a command leaves that was killed before it had begun its campaign, as patterns of names."""
FORMAT_VERSION: Final = 1


class Kept(NamedTuple):
    """Where the campaign of a directory is kept."""

    store: Store
    campaign: CampaignId | None
    """Null: the newest in its journal, in directories from before ``campaign.json``."""


class Command(NamedTuple):
    """The command that carries a campaign out: given again, it goes on with it."""

    words: str
    """As they are written in a shell."""
    folder: str
    """In which it was given."""


def holds_campaign(directory: Path) -> bool:
    """Return whether a campaign was begun in a directory; one that cannot be read was."""
    try:
        return kept_in(directory) is not None
    except SlacktideError:
        return True


def left_behind(directory: Path) -> list[str]:
    """Return the names of a directory's files that a command may have left which was killed before it began."""
    if not directory.is_dir():
        return []
    names = [path.name for path in directory.iterdir()]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in _LEFT)]


def kept_in(directory: Path, given: Store | None = None) -> Kept | None:
    """Return where the campaign of a directory is kept; None: none was begun there.

    A journal in it counts without ``campaign.json`` too, unless it has no campaign: who made it was killed meanwhile.

    Parameters
    ----------
    given
        The store as the caller names it, perhaps with a password; it counts if it is the one that the directory names.

    Raises
    ------
    InputError
        If ``campaign.json`` is damaged.
    ExecutionError
        If there is a journal alone, and it cannot be read.
    """
    file = directory / CAMPAIGN_FILE
    if not file.is_file():
        from slacktide.executors.store.campaigns import has_campaign

        journal = store_in(directory / JOURNAL_FILE)
        return Kept(journal, None) if journal.path.is_file() and has_campaign(journal) else None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version, url, campaign = content["format_version"], content["store"], content["campaign"]
        if version != FORMAT_VERSION:
            fact = f"has format version {version}; this release reads version {FORMAT_VERSION}"
            raise InputError(str(file), fact, "Use the release that wrote it")
        store = parse_store(url, directory)
        return Kept(given if given is not None and given.is_at(store) else store, CampaignId(campaign))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        fact = f"is damaged: {error}"
        raise InputError(str(file), fact, "Restore it, or write it anew: store and campaign id") from error


def no_campaign(directory: Path) -> tuple[str, str]:
    """Return what to say of a directory in which none was begun, and the remedy."""
    if not directory.is_dir():
        return "there is no such directory", "Give the directory that `slacktide run -o` made"
    if (process := process_starting(directory)) is not None:
        fact = f"its campaign is being started by process {process} of this machine, which has Ray start first"
        return fact, "Look again in a minute"
    if left_behind(directory):
        return "its campaign has not begun yet", "Give the command again that was to begin it"
    return "holds no campaign", "Give the directory that `slacktide run -o` made"


def refuse_other_store(directory: Path, given: Store | None) -> None:
    """Refuse a store that is not the one in which the campaign of a directory is.

    Raises
    ------
    UsageError
        If it is another.
    """
    kept = kept_in(directory, given)
    if given is not None and kept is not None and not given.is_at(kept.store):
        fact = f"its campaign is kept in {kept.store.shown}, not in {given.shown}"
        raise UsageError(str(directory), fact, "Leave --store out, or choose another directory")


def command_in(directory: Path) -> Command | None:
    """Return the command that carried out the campaign of a directory last; None: it is not known."""
    try:
        told = json.loads((directory / CAMPAIGN_FILE).read_text(encoding="utf-8"))["command"]
        return Command(str(told["words"]), str(told["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_campaign_file(directory: Path, store: Store, campaign: CampaignId, command: Command | None = None) -> None:
    """Note where the campaign of a directory is kept, and which command carries it out.

    A file within the directory is named by its name alone.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    inside = store.is_file and store.path.resolve() == (directory / JOURNAL_FILE).resolve()
    url = f"sqlite:///{JOURNAL_FILE}" if inside else store.kept
    content: dict[str, object] = {"format_version": FORMAT_VERSION, "store": url, "campaign": campaign}
    if command is not None:
        content["command"] = command._asdict()
    write_file(directory / CAMPAIGN_FILE, (json.dumps(content, indent=2) + "\n").encode())
