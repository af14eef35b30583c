"""The server's data directory: where fleets, plans and campaigns are.  No name in it comes from a client."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slacktide.errors import OutputError

STORE_FILE: Final = "store.sqlite"
"""The database of campaigns and server, unless another is named."""
LEFT_S: Final = 3600.0
"""After how long without a byte an upload has been left by a server that was killed."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths by id; ids are the server's own, hexadecimal digits."""

    data: Path

    def fleet(self, fleet_id: str) -> Path:
        """Return the directory of a fleet snapshot."""
        return self.data / "fleets" / fleet_id

    def plan(self, plan_id: str) -> Path:
        """Return the directory of a plan."""
        return self.data / "plans" / plan_id

    def campaign(self, campaign_id: str) -> Path:
        """Return the directory of a campaign."""
        return self.data / "campaigns" / campaign_id

    def run(self, campaign_id: str) -> Path:
        """Return the directory of what the process says that carries a campaign out."""
        return self.data / "runs" / campaign_id

    def what_if(self, job_id: str) -> Path:
        """Return the directory of what a what-if found."""
        return self.data / "what-ifs" / job_id

    @property
    def uploads(self) -> Path:
        """The folder of uploads that are under way."""
        return self.data / "uploads"

    @property
    def store(self) -> Path:
        """The database of campaigns and server, unless another is named."""
        return self.data / STORE_FILE

    def clear_uploads(self) -> None:
        """Remove uploads that nobody goes on with."""
        for folder in (path for path in self.uploads.glob("*") if path.is_dir()):
            with suppress(OSError):  # one that ends at this moment removes its folder itself
                newest_s = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
                if time.time() - newest_s > LEFT_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def make(self) -> None:
        """Make the folders that are absent, for their owner alone.

        Raises
        ------
        OutputError
            If that cannot be.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("fleets", "plans", "campaigns", "runs", "what-ifs", "uploads"):
                (self.data / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            fact = f"cannot be made: {error.strerror or error}"
            raise OutputError(str(self.data), fact, "Choose a folder that you may write to: --data") from error
