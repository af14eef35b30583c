"""How a fleet is watched, as data."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slacktide.executors.maintenance.action import Words
from slacktide.executors.triggers.calendar import Calendar
from slacktide.executors.triggers.fields import read_model
from slacktide.executors.triggers.request import Due
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.policy_files import read_policy
from slacktide.planner.strict_files import FileKind

KIND: Final = FileKind(
    "triggers file",
    "triggers-file",
    "Write `fleet`, `campaigns`, and one of `requests`, `standing` and `alerts` at least; docs/triggers.md has one",
)
LOOK_S: Final = 5.0
"""How often files are looked at: a change counts once two looks agree, so it is taken up within twice as long."""
OUTPUT: Final = "{output}"
"""Stands in a fleet's command for the directory that it is to write."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

Start = Literal["approve", "at-once"]
"""What happens to a campaign that a trigger makes: it waits for `slacktide campaign approve`, or starts."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fleet(_Part):
    """Where the fleet comes from."""

    name: str = Field(default="fleet", min_length=1, max_length=64)
    """Stands for it in the store, which may hold the triggers of several."""
    directory: Path | None = None
    """A snapshot, read anew for every campaign."""
    command: Words | None = None
    """Writes a snapshot afresh, to the directory that ``{output}`` in it stands for."""

    @model_validator(mode="after")
    def _one(self) -> "Fleet":
        if (self.directory is None) == (self.command is None):
            raise ValueError("needs one of `directory` and `command`; write one of them")
        if self.command is not None and not any(OUTPUT in word for word in self.command):
            raise ValueError(f"`command` does not say where it writes; write {OUTPUT} for the directory")
        return self


class Planning(_Part):
    """How long is planned, in seconds; the first plan is always finished."""

    time_limit_s: float = Field(default=60.0, ge=0)
    alert_time_limit_s: float = Field(default=0.0, ge=0)
    """Of campaigns for alerts: every second counts, and one host has few plans."""
    workers: int = Field(default=1, ge=1)


class Run(_Part):
    """Options of `slacktide run`, under the same names."""

    driver: Literal["simulated", "libvirt"] = "simulated"
    connections: Path | None = None
    patch_command: str | None = None
    maintenance: Path | None = None
    health: Path | None = None
    shared_path: tuple[str, ...] = ()
    on_drift: Literal["revise", "ask", "ignore"] | None = None
    speed: float | None = Field(default=None, gt=0)
    ray: bool = True


class Requests(_Part):
    """Files of maintenance requests."""

    paths: tuple[Path, ...] = Field(min_length=1)
    """Files, and directories whose files with the suffixes of YAML and JSON are read, not those below."""
    start: Start = "approve"
    calendar: str | None = None
    """Windows in which their campaigns run; null: at any time."""
    urgent_waits: bool = False
    """Whether urgent ones wait for a window too."""


class Standing(Due):
    """What every window of a calendar begins, without anybody asking."""

    name: str = Field(min_length=1, max_length=60, pattern=r"^[\w.-]+$")
    calendar: str
    start: Start = "approve"


class Alerts(_Part):
    """Where Alertmanager posts alerts of hosts that are about to fail."""

    listen: str = "127.0.0.1:9096"
    token_file: Path | None = None
    """Holds the bearer token that a delivery has to carry."""
    label: str = "instance"
    """Names the host."""
    strip_port: bool = True
    strip_domain: bool = False
    match: dict[str, tuple[str, ...]] = {}
    """Labels with the values that an alert has to have to count; others are answered and passed over."""
    start: Start = "at-once"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen at."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _guarded(self) -> "Alerts":
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"`listen` {self.listen!r} is no address with a port; write one such as 127.0.0.1:9096")
        if self.address[0] not in LOOPBACK and self.token_file is None:
            raise ValueError("`listen` is open to other machines; write `token_file` too, or listen at 127.0.0.1")
        return self


class Policies(_Part):
    """The policy of campaigns by what began them: a preset's name, or a file."""

    routine: str = "routine"
    urgent: str = "urgent"
    standing: str = "routine"
    alert: str = "urgent"


class Triggers(_Part):
    """What begins campaigns of a fleet."""

    fleet: Fleet
    campaigns: Path
    """Directory in which every campaign has one of its own."""
    store: str | None = None
    """URL of the store of triggers and campaigns. [default: triggers.sqlite in ``campaigns``]"""
    look_every_s: float = Field(default=LOOK_S, gt=0, le=3600)
    policies: Policies = Policies()
    plan: Planning = Planning()
    run: Run = Run()
    calendars: dict[str, Calendar] = {}
    requests: Requests | None = None
    standing: tuple[Standing, ...] = ()
    alerts: Alerts | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Triggers":
        if self.requests is None and not self.standing and self.alerts is None:
            raise ValueError("nothing would ever begin; write one of `requests`, `standing` and `alerts`")
        named = [each.calendar for each in self.standing]
        named += [self.requests.calendar] if self.requests is not None and self.requests.calendar else []
        if missing := sorted(set(named) - self.calendars.keys()):
            raise ValueError(f"there is no calendar {missing[0]}; write it under `calendars`")
        names = [each.name for each in self.standing]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two standing ones are called {twice[0]}; give each a name of its own")
        if self.run.driver == "libvirt" and not (self.run.patch_command or self.run.maintenance):
            raise ValueError("`run` says not how real hosts are patched; write `maintenance` or `patch_command`")
        if self.run.patch_command and self.run.maintenance:
            raise ValueError("`run` has `maintenance` and `patch_command`; leave one out")
        return self

    def calendar_of(self, name: str | None) -> Calendar | None:
        """Return a calendar by its name; null: none is asked for."""
        return None if name is None else self.calendars[name]


def read_triggers(path: Path) -> Triggers:
    """Return how a fleet is watched, from a YAML or JSON file; paths in it begin at its folder.

    Raises
    ------
    UsageError
        If there is no such file.
    InputError
        If it is something else; the findings name each field and the remedy.
    """
    found = read_model(path, KIND, Triggers)
    return _placed(found, path.resolve().parent)


def _placed(triggers: Triggers, folder: Path) -> Triggers:
    """Return settings whose paths are whole."""

    def at(part: BaseModel | None, *names: str) -> BaseModel | None:
        if part is None:
            return None
        there = {name: getattr(part, name) for name in names}
        return part.model_copy(update={name: folder / path for name, path in there.items() if path is not None})

    requests = triggers.requests
    policies = triggers.policies.model_dump()
    return triggers.model_copy(
        update={
            "fleet": at(triggers.fleet, "directory"),
            "campaigns": folder / triggers.campaigns,
            "run": at(triggers.run, "connections", "maintenance", "health"),
            "alerts": at(triggers.alerts, "token_file"),
            "requests": requests
            and requests.model_copy(update={"paths": tuple(folder / path for path in requests.paths)}),
            "policies": Policies(
                **{kind: name if name in PRESETS else str(folder / name) for kind, name in policies.items()}
            ),
        }
    )


def policy_named(name: str) -> Policy:
    """Return a preset, or the policy in a file."""
    return PRESETS[name] if name in PRESETS else read_policy(Path(name))
