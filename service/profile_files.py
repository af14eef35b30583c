"""That the files which a server's profiles name are there and right, before it serves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slacktide.errors import InputError, UsageError

if TYPE_CHECKING:
    from slacktide.service.campaign_terms import Profile


def check_profile_files(profiles: "Mapping[str, Profile]", config: Path) -> None:
    """Refuse profiles whose files are not there, or not what they are to be.

    Raises
    ------
    InputError
        With the first such file, and the key of the configuration that names it.
    """
    for name, profile in sorted(profiles.items()):
        for key, read in _readers().items():
            file = getattr(profile, key)
            if file is None:
                continue
            try:
                read(file)
            except (UsageError, InputError) as error:
                findings = error.findings if isinstance(error, InputError) else ()
                fact = f"{error.subject}: {error.fact}"
                remedy = f"Write {file.resolve()}, or have `{key}` name another"
                raise InputError(f"{config}: profiles.{name}.{key}", fact, remedy, findings) from error


def _readers() -> dict[str, Callable[[Path], object]]:
    """Return what reads the file of each key."""
    from slacktide.executors.connections_file import read_connections
    from slacktide.executors.fabrics.settings import read_fabric
    from slacktide.executors.health.files import read_health
    from slacktide.executors.maintenance.action_files import read_action

    return {
        "connections": read_connections,
        "maintenance": read_action,
        "fabric": read_fabric,
        "health": read_health,
    }
