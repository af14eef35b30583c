"""What every constraint is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from slacktide.findings import Finding
from slacktide.planner.replay import Replay

if TYPE_CHECKING:
    from slacktide.planner.encoding import Encoding
    from slacktide.planner.problem import Problem


class Constraint(Protocol):
    """A rule with its terms, which checks a finished plan without the solver."""

    @property
    def rule(self) -> str:
        """The rule's name in findings, in kebab-case."""
        ...

    def check(self, replay: Replay) -> Iterator[Finding]:
        """Yield what breaks the rule."""
        ...


@runtime_checkable
class Tried(Constraint, Protocol):
    """A constraint that is checked by trying, and says how much was tried."""

    def examine(self, replay: Replay) -> tuple[tuple[Finding, ...], str]:
        """Return what breaks the rule, and in words what was tried, empty: nothing."""
        ...


@runtime_checkable
class Limit(Constraint, Protocol):
    """A constraint on the planner's choices, not only on how a plan is written down."""

    def encode(self, problem: "Problem", encoding: "Encoding") -> None:
        """Write the rule on the solver's model."""
        ...
