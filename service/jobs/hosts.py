"""Jobs about real hosts: what campaigns there have taught, and what is there now."""

import io
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from rich.console import Console

from slacktide.datasets.files import write_snapshot
from slacktide.errors import InputError, UsageError
from slacktide.service.fleet_intake import fleet_id_of
from slacktide.service.jobs.asked import CalibrateAsked, ImportAsked
from slacktide.service.jobs.tools import Tools
from slacktide.service.kept_sums import keep
from slacktide.service.store.inventory import add_fleet
from slacktide.service.words import counted, plain

TEXT_COLUMNS = 1_000
"""Width of text for people: no line is broken before it is known how wide theirs may be."""


def calibrate_job(asked: CalibrateAsked, tools: Tools) -> dict[str, Any]:
    """Learn the migration model's figures from campaigns on real hosts."""
    from slacktide.planner.calibration import FEWEST, calibrated, learn, observe
    from slacktide.planner.prediction_errors import prediction_errors
    from slacktide.service.calibrate_text import calibration_document, calibration_text
    from slacktide.service.measured_campaigns import read_measured

    paths = [tools.places.campaign(name) for name in asked.campaign_ids]
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"campaign {path.name}", "is not there, or has not begun", "List campaigns")
    campaigns, of_last = read_measured(paths)
    before = asked.policy or of_last
    observations = observe(campaigns)
    learnt = learn(observations, asked.caution)
    if learnt.nothing:
        fact = f"{counted(observations.table.height, 'live migration')} measured, at least {FEWEST} are needed"
        raise InputError(", ".join(asked.campaign_ids), fact, "Give more campaigns on such hosts")
    after = calibrated(before, learnt)
    errors = list(prediction_errors(observations, learnt, before))
    text = io.StringIO()
    Console(file=text, width=TEXT_COLUMNS).print(calibration_text(observations, learnt, before, after, errors))
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    document = calibration_document(observations, learnt, before, after, errors)
    return {"learnt": document, "policy": after.model_dump(mode="json"), "text": plain(lines)}


def import_job(asked: ImportAsked, by: str, tools: Tools) -> dict[str, Any]:
    """Ask the live hosts of a profile what they are and what runs on them, and keep the fleet that they make."""
    from slacktide.clock import SystemClock
    from slacktide.datasets.summary import summarise
    from slacktide.executors.connections_file import read_connections
    from slacktide.executors.inventory.fleet import InventorySettings, fleet_of
    from slacktide.executors.inventory.hosts import observe

    profile = tools.campaigning.profile(asked.profile)
    addresses = [each.uri for each in read_connections(profile.connections).values()]
    settings = InventorySettings(**asked.model_dump(exclude={"profile", "measure_s"}))
    shared = [PurePosixPath(path) for path in profile.shared_paths]
    window_s = asked.measure_s or None
    hosts = observe(addresses, shared, window_s, lambda share, words: tools.pulse.tell(share, plain(words)))
    snapshot = fleet_of(hosts, settings, SystemClock().now(), window_s)
    fleet_id = fleet_id_of(snapshot)
    keep(tools.places.fleet(fleet_id), partial(write_snapshot, snapshot))
    summary = summarise(snapshot).as_dict()
    is_new = add_fleet(tools.database, fleet_id, by, summary, [])
    return {"fleet_id": fleet_id, "fleet_is_new": is_new, "summary": summary}
