"""What is wrong with the first field of a configuration that is, and what is taken in its place, nearest first."""

import difflib
from collections.abc import Sequence
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

SIMILAR: Final = 0.0
"""How alike names have to be to be listed: all are, a person may have meant any."""


def wrong_field(error: ValidationError, whole: type[BaseModel]) -> tuple[str, str]:
    """Return in words the first field that is wrong, what is so and what mends it; its value is not repeated.

    Parameters
    ----------
    whole
        What the configuration is read as.
    """
    first = error.errors(include_input=False)[0]
    place, said = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
    if first["type"] != "extra_forbidden":
        fact, _, how = said.partition("; ")
        return f"{place}: {fact}", f"{how[0].upper()}{how[1:]}" if how else "Correct the field"
    taken = list(_model_at(whole, first["loc"][:-1]).model_fields)
    name = str(first["loc"][-1])
    return f"{place}: there is no such field", f"Take one of {', '.join(nearest_first(name, taken))}"


def nearest_first(name: str, taken: Sequence[str]) -> list[str]:
    """Return the names that are taken, the likest to one that is not first."""
    return difflib.get_close_matches(name, taken, max(1, len(taken)), SIMILAR)


def _model_at(whole: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model of the part of a configuration at a place."""
    kind: Any = whole
    for part in place:
        kind = _bare(kind.model_fields[part].annotation if _is_model(kind) else get_args(kind)[-1])
    assert _is_model(kind)
    model: type[BaseModel] = kind
    return model


def _bare(kind: Any) -> Any:  # noqa: ANN401  (an annotation)
    """Return an annotation without what says that it may be null."""
    if get_origin(kind) in (Union, UnionType):
        return next(each for each in get_args(kind) if each is not type(None))
    return kind


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
