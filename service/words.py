"""How the command line says things that the planner and the executors name by identifiers."""

from typing import Final

_SPACES: Final = str.maketrans({"\u202f": " ", "\u2013": "unknown"})

_RESOURCES: Final = {
    "memory": "free memory of the fleet",
    "vcpus": "free vCPUs of the fleet",
    "chain": "longest chain of notice, drain and patch",
    "waves": "waves that wait for each other",
    "hosts-out:fleet": "hosts out at once in the fleet",
}


def plain(text: str) -> str:
    """Return text with ordinary spaces between number and unit, so that it can be searched, and words for null."""
    return text.translate(_SPACES)


def resource(name: str) -> str:
    """Return what a resource of the bounds is, in words; one without words keeps its name."""
    known = _RESOURCES.get(name)
    if known is not None:
        return known
    kind, _, rest = name.partition(":")
    if kind == "hosts-out" and rest:
        domain, _, which = rest.partition(":")
        return f"hosts out at once in {domain} {which}".rstrip()
    return name


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 host``, ``1,204 hosts``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
