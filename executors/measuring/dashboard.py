"""Grafana's dashboard of campaigns: a file of the package, and a copy of it where Grafana looks."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from slacktide.atomic import write_file
from slacktide.errors import OutputError

DASHBOARD_FILE: Final = "slacktide_grafana_dashboard.json"


def dashboard() -> str:
    """Return the dashboard, as JSON that Grafana takes."""
    return files(__package__).joinpath("grafana_dashboard.json").read_text(encoding="utf-8")


def write_dashboard(folder: Path) -> Path:
    """Write the dashboard to a folder, made where absent, and return its path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = folder / DASHBOARD_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fact = f"cannot be made: {error.strerror or error}"
        raise OutputError(str(folder), fact, "Give a folder that may be written to") from error
    write_file(path, dashboard().encode())
    return path
