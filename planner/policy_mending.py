"""What to write in place of a wrong value of a policy, and in which line of its file the value is.

A value is only proposed where the policy is right with it, as far as that field goes.
"""

import copy
import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from slacktide.planner.policy import Policy

Location = Sequence[Any]
"""Names of fields and places in lists, as pydantic has them."""

_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_TIME: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)\s*")
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
LARGEST_PERCENT: Final = 100
"""Whole numbers from 1 up to here, where a share is wanted, were meant in percent."""


def proposal(data: dict[str, Any], location: Location) -> str | None:
    """Return what to write at ``location``, as YAML, None: nothing that is sure to be right."""
    path = _path(data, location)
    if not path:
        return None
    for candidate in _candidates(_at(data, path), str(path[-1]), _model(path)):
        if _fits(data, path, candidate):
            return yaml.safe_dump(candidate, default_flow_style=True, sort_keys=False).removesuffix("...\n").strip()
    return None


def line_of(text: str, location: Location) -> int | None:
    """Return the line of a YAML text in which the field is, counted from 1; None where it is not in it."""
    node = _composed(text)
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = [(node.value[part], node.value[part])]
        else:
            found = []
        if found:
            key, node = found[0]
            line = key.start_mark.line + 1
    return line


@lru_cache(maxsize=1)
def _composed(text: str) -> yaml.Node | None:
    """Return the nodes of a YAML text, kept since each wrong field of it is looked up; None: it is none."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    return node


def _path(data: Any, location: Location) -> list[Any]:  # noqa: ANN401  (what a file holds)
    """Return the part of a location that is in the data, without the kinds that pydantic puts into it."""
    path: list[Any] = []
    for part in location:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int)):
            path.append(part)
            data = data[part]
    return path


def _at(data: Any, path: Location) -> Any:  # noqa: ANN401  (what a file holds)
    for part in path:
        data = data[part]
    return data


def _model(path: Location) -> type[BaseModel] | None:
    """Return the part of a policy that belongs at ``path``, None: it is no part."""
    field = Policy.model_fields.get(str(path[0])) if len(path) == 1 else None
    kind = None if field is None else field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _candidates(value: Any, name: str, model: type[BaseModel] | None) -> Iterator[Any]:  # noqa: ANN401
    """Yield what may have been meant by a value, the likeliest first."""
    plain = [value, *readings(value, name)]
    yield from plain[1:]
    if not isinstance(value, dict):
        fields = ("fleet",) if name == "max_out" else () if model is None else tuple(model.model_fields)
        for each in plain:
            yield from ({field: each} for field in fields)
    if not isinstance(value, list):
        yield [value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def readings(value: Any, name: str) -> Iterator[Any]:  # noqa: ANN401  (what a file holds)
    """Yield a value read as a number, a share or a time."""
    if isinstance(value, str):
        if percent := _PERCENT.fullmatch(value):
            yield round(float(percent[1]) / 100, 12)
        if (time := _TIME.fullmatch(value)) and name.endswith(("_s", "_ms")):
            yield _whole(float(time[1]) * _UNITS_S[time[2]] * (1000 if name.endswith("_ms") else 1))
        try:
            number = float(value)
        except ValueError:
            return
        if math.isfinite(number):
            yield _whole(number)
            yield number
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        if isinstance(value, float):
            yield _whole(value)
        if 0 < value < 1:
            yield f"{value:.9%}".rstrip("%").rstrip("0").rstrip(".") + "%"
        if isinstance(value, int) and 1 < value <= LARGEST_PERCENT:
            yield value / 100


def _whole(number: float) -> int | float:
    """Return a number without decimals as a whole one, and others as they are."""
    return round(number) if abs(number - round(number)) < 1e-9 else number


def _fits(data: dict[str, Any], path: Location, candidate: Any) -> bool:  # noqa: ANN401
    """Return whether nothing is wrong at ``path``, or within, once the candidate stands there."""
    changed = copy.deepcopy(data)
    _at(changed, path[:-1])[path[-1]] = candidate
    try:
        Policy.model_validate_json(json.dumps(changed, default=str), strict=True)
    except ValidationError as error:
        faults = [_path(changed, fault["loc"]) for fault in error.errors(include_url=False, include_input=False)]
        return all(fault[: len(path)] != list(path) for fault in faults)
    except ValueError:
        return False
    return True
