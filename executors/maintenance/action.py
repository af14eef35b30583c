"""What is done to a drained host, as data.

In texts ``{host}`` stands for the host's id and ``{patch_level}`` for the level that the policy asks for.  Where a
field says so, ``${NAME}`` stands for a variable of the environment: its value is looked up when it is used, and is
neither in the journal nor in a message.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    field_validator,
    model_validator,
)

MAX_RETRIES: Final = 20
"""More tries than fit into the time that a campaign waits for a host, with any pause between them."""
RETRY_AFTER_S: Final = 60.0
"""Pause before the second try, doubled before each further one: a service that restarts is back by then."""
WITHIN_S: Final = 600.0
"""How long a check is repeated: a server's firmware takes some minutes to boot."""
EVERY_S: Final = 5.0
ANSWER_S: Final = 60.0
"""How long an answer to the call may take: interfaces that begin a job answer at once."""
CHECK_ANSWER_S: Final = 10.0
"""How long a check may take each time; one that hangs is repeated."""
DAY_S: Final = 86_400.0
"""The longest that a check may take or pause: longer than any night, and a time that every clock can wait for."""
SECRET_HEADER: Final = re.compile(r"authorization|cookie|token|secret|password|api-?key", re.IGNORECASE)
"""Headers whose value is a secret, by their name."""
NOT_TO_BE_GIVEN: Final = re.compile(r"-[lCi]|--limit|--subset|--inventory|--check|--list|--syntax-check")
"""Arguments of Ansible that the action gives itself, or with which nothing would be done."""
REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A variable of the environment in a text."""


def _words(value: object) -> object:
    """Return the words of a command that is written as one text, as a shell would split it; no shell is asked."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}; close the quotation") from error


def _address(value: str) -> str:
    if not re.match(r"https?://[^/\s]", value):
        raise ValueError(
            f"{value!r} is no address of HTTP; write it with its scheme, such as https://api.example/hosts"
        )
    return value


def _secrets_by_reference(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if SECRET_HEADER.search(name) and not REFERENCE.search(value):
            raise ValueError(
                f"the value of {name} stands in the file; write ${{NAME}}, with the secret in that environment variable"
            )
    return headers


Words = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]
"""A program and its arguments; a text is split like a shell's command line."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Part):
    """A question over HTTP; ``${NAME}`` may be in the address and in headers."""

    url: str
    headers: dict[str, str] = {}

    _url_is_one = field_validator("url")(_address)
    _secrets = field_validator("headers")(_secrets_by_reference)


# Checks


class _Check(_Part):
    within_s: float = Field(default=WITHIN_S, gt=0, le=DAY_S)
    """How long it is repeated until it passes."""
    every_s: float = Field(default=EVERY_S, gt=0, le=DAY_S)
    """Pause between two times."""
    answer_within_s: float = Field(default=CHECK_ANSWER_S, gt=0, le=DAY_S)
    """How long it may take each time."""


class PatchLevelCheck(_Check):
    """The patch level is read back, and is the one that the policy asks for."""

    kind: Literal["patch_level"]
    command: Words | None = None
    """Prints the level."""
    url: str | None = None
    """Answers with the level."""
    headers: dict[str, str] = {}
    """Of the question at ``url``."""
    field: str | None = None
    """Where the answer, which is JSON then, has the level: names and numbers with dots between; null: it is all."""
    match: str | None = None
    """Regular expression for the whole of it, in which ``{patch_level}`` is the level as it stands; null: equal."""

    _secrets = field_validator("headers")(_secrets_by_reference)

    @model_validator(mode="after")
    def _one_source(self) -> "PatchLevelCheck":
        if (self.command is None) == (self.url is None):
            raise ValueError("the level is read by a command or at a url; give one of them")
        if self.url is not None:
            _address(self.url)
        elif self.headers:
            raise ValueError("headers are for a url; leave them out")
        return self

    @field_validator("match")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value.replace("{patch_level}", "level"))
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}; correct it") from error
        return value


class CommandCheck(_Check):
    """A command ends with 0."""

    kind: Literal["command"]
    command: Words


class HttpCheck(Request, _Check):
    """A GET is answered with a status, and where asked for with a value in a field of its JSON."""

    kind: Literal["http"]
    status: int = Field(default=200, ge=100, le=599)
    field: str | None = None
    equals: str | None = None
    """What the field has to be, as text; null: it has to be there."""

    @model_validator(mode="after")
    def _field_to_compare(self) -> "HttpCheck":
        if self.equals is not None and self.field is None:
            raise ValueError("equals needs a field to compare with; give field too")
        return self


class TcpCheck(_Check):
    """A connection is accepted."""

    kind: Literal["tcp"]
    port: int = Field(ge=1, le=65535)
    address: str = "{host}"


Check = Annotated[PatchLevelCheck | CommandCheck | HttpCheck | TcpCheck, Field(discriminator="kind")]
CHECKS: Final[dict[str, type[BaseModel]]] = {
    "patch_level": PatchLevelCheck,
    "command": CommandCheck,
    "http": HttpCheck,
    "tcp": TcpCheck,
}


# Actions


class _Action(_Part):
    verify: tuple[Check, ...] = ()
    """What has to pass, one after the other, before the host counts as returned."""


class _Tried(_Action):
    timeout_s: float | None = Field(default=None, gt=0)
    """How long one try may take before it is stopped; null: it is not stopped."""
    retries: int = Field(default=0, ge=0, le=MAX_RETRIES)
    """Tries after the first, where another may mend what failed."""
    retry_after_s: float = Field(default=RETRY_AFTER_S, gt=0)
    """Pause before the second try; it doubles with each further one."""


class CommandAction(_Tried):
    """A command, run where the agent is."""

    kind: Literal["command"]
    command: Words
    untouched_codes: tuple[int, ...] = ()
    """Exit codes by which the command says that it has done nothing to the host, such as ssh's 255."""


class Polling(Request):
    """A status that is asked for until the job that the call began has ended.

    In its address ``{answer.FIELD}`` stands for a field of the call's JSON answer and ``{location}`` for its header.
    """

    field: str | None = None
    """Where the answer, which is JSON then, has the status; null: the code of the answer counts."""
    done: tuple[str, ...] = ()
    """Values of the field that say that the job is done."""
    failed: tuple[str, ...] = ()
    """Values that say that it has failed; at any other it goes on."""
    message: str | None = None
    """Field with the reason of a failure."""
    every_s: float = Field(default=EVERY_S, gt=0)

    _url_is_one = field_validator("url")(lambda value: value if value.startswith("{location}") else _address(value))

    @model_validator(mode="after")
    def _values_with_a_field(self) -> "Polling":
        if self.field is not None and not self.done:
            raise ValueError("nothing says when the job is done; give the values of done")
        if self.field is None and (self.done or self.failed):
            raise ValueError("done and failed are values of a field; give field too")
        if both := sorted(set(self.done) & set(self.failed)):
            raise ValueError(f"{both[0]} is both done and failed; leave it out of one")
        return self


class HttpAction(Request, _Tried):
    """A call, and where it only begins a job, its status until that has ended."""

    kind: Literal["http"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: str | None = None
    json_body: JsonValue = Field(default=None, alias="json")
    answer_within_s: float = Field(default=ANSWER_S, gt=0)
    """How long an answer may take."""
    poll: Polling | None = None
    """Null: the call's answer says that the action is done."""

    @model_validator(mode="after")
    def _one_body(self) -> "HttpAction":
        if self.body is not None and self.json_body is not None:
            raise ValueError("a call has one body; give body or json")
        return self


class AnsibleAction(_Tried):
    """A playbook of Ansible, limited to the host."""

    kind: Literal["ansible"]
    playbook: str = Field(min_length=1)
    """Path; one that is not absolute is beside the file of the action."""
    inventory: str | None = None
    """A path, or host names with a comma after each; null: Ansible's own."""
    extra_vars: dict[str, JsonValue] = {}
    """``${NAME}`` may be in their texts.  ``slacktide_host`` and ``slacktide_patch_level`` are given too."""
    arguments: tuple[str, ...] = ()
    """More arguments, such as ``--become``."""

    @field_validator("arguments")
    @classmethod
    def _no_other_limit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if taken := [word for word in value if NOT_TO_BE_GIVEN.match(word)]:
            raise ValueError(f"{taken[0]} is given by this action, or would keep it from being done; leave it out")
        return value


class NoAction(_Action):
    """Nothing is done: the drain is rehearsed."""

    kind: Literal["none"]


MaintenanceAction = Annotated[
    CommandAction | HttpAction | AnsibleAction | NoAction,
    Field(discriminator="kind"),
]
ACTIONS: Final[dict[str, type[BaseModel]]] = {
    "command": CommandAction,
    "http": HttpAction,
    "ansible": AnsibleAction,
    "none": NoAction,
}
ACTION: Final[TypeAdapter[Any]] = TypeAdapter(MaintenanceAction)
"""Reads an action from JSON."""


def command_action(words: tuple[str, ...]) -> CommandAction:
    """Return the action that is one command and nothing more."""
    return CommandAction(kind="command", command=words)
