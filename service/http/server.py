"""What a replica of the server consists of."""

import asyncio
import threading
from dataclasses import dataclass

from slacktide.executors.store.address import parse_store, store_in
from slacktide.service.campaigning import Campaigning, Launch
from slacktide.service.folded_campaigns import FoldedCampaigns
from slacktide.service.http.callers import Callers
from slacktide.service.http.kept import MOST_ENDED_KEPT, KeptAnswers
from slacktide.service.http.oidc import OidcKeys
from slacktide.service.http.rates import RateFence
from slacktide.service.http.settings import ServerSettings
from slacktide.service.http.streams import Streams
from slacktide.service.http.under_way import CallsUnderWay
from slacktide.service.jobs.carrying import JobStarter
from slacktide.service.launching import launch_campaign
from slacktide.service.places import Places
from slacktide.service.store.database import Database, open_database


@dataclass(frozen=True, slots=True)
class Server:
    """What operations work with."""

    settings: ServerSettings
    places: Places
    database: Database
    callers: Callers
    rates: RateFence
    jobs: JobStarter
    campaigning: Campaigning
    views: FoldedCampaigns
    streams: Streams
    under_way: CallsUnderWay
    exports: threading.BoundedSemaphore
    """Tables that may still be sent as files."""
    intakes: asyncio.Semaphore
    """Processes that may still be begun to read uploads."""
    kept: KeptAnswers
    """Maps and curves."""
    vms: KeptAnswers
    """Ids of the VMs of fleets, sorted: guests are asked for again and again."""
    ended: KeptAnswers
    """How campaigns stand that have ended."""


def open_places(settings: ServerSettings) -> tuple[Places, Database]:
    """Return data directory and database, made where absent.

    Raises
    ------
    OutputError, ExecutionError, StoreError
        If one of them cannot be.
    """
    places = Places(settings.data.resolve())
    places.make()
    url = settings.store_url
    return places, open_database(store_in(places.store) if url is None else parse_store(url.get_secret_value()))


def campaigning_of(
    settings: ServerSettings, places: Places, database: Database, launch: Launch = launch_campaign
) -> Campaigning:
    """Return what has campaigns carried out."""
    return Campaigning(places, database, settings.profiles, launch, settings.ray_address)


def make_server(settings: ServerSettings, jobs: JobStarter, launch: Launch = launch_campaign) -> Server:
    """Return a replica's parts; errors as :func:`open_places`."""
    places, database = open_places(settings)
    return Server(
        settings=settings,
        places=places,
        database=database,
        callers=Callers(settings, database, None if settings.oidc is None else OidcKeys(settings.oidc)),
        rates=RateFence(settings.rates),
        jobs=jobs,
        campaigning=campaigning_of(settings, places, database, launch),
        views=FoldedCampaigns(places, database),
        streams=Streams(settings.limits.streams, settings.limits.streams_each),
        under_way=CallsUnderWay(database),
        exports=threading.BoundedSemaphore(settings.limits.exports),
        intakes=asyncio.Semaphore(settings.limits.uploads),
        kept=KeptAnswers(),
        vms=KeptAnswers(),
        ended=KeptAnswers(MOST_ENDED_KEPT),
    )
