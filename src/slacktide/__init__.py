"""Slacktide patches a whole fleet of VM hosts without its guests noticing.

What is exported here is for programs and notebooks, see docs/python.md.  It is imported when it is first used, so that
``import slacktide`` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slacktide.service.library import (
        AuditReport,
        ExecutionError,
        Finding,
        FleetSnapshot,
        InputError,
        OutputError,
        Plan,
        Policy,
        SlacktideError,
        UsageError,
        audit,
        plan,
        preset,
        read_fleet,
        read_plan,
        read_policy,
        write_fleet,
        write_plan,
        write_policy,
    )

__version__: Final = "0.1.0"

__all__ = [
    "AuditReport",
    "ExecutionError",
    "Finding",
    "FleetSnapshot",
    "InputError",
    "OutputError",
    "Plan",
    "Policy",
    "SlacktideError",
    "UsageError",
    "__version__",
    "audit",
    "plan",
    "preset",
    "read_fleet",
    "read_plan",
    "read_policy",
    "write_fleet",
    "write_plan",
    "write_policy",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (whatever is exported)
    if name not in __all__:
        raise AttributeError(f"module 'slacktide' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module("slacktide.service.library"), name)
    return found


def __dir__() -> list[str]:
    return __all__
