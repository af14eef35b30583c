"""Files of fields and values that people write: YAML or JSON, in which no key is given twice.

Whatever stands in them ends in fields or in an error, soon: what is no regular file is not read, and aliases of YAML
that stand for too much, or for themselves, are refused before they are followed.
"""

import json
import os
import stat
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from slacktide.errors import InputError, UsageError
from slacktide.findings import Finding
from slacktide.object_store import AnyPath

SUFFIXES: Final = (".yaml", ".yml", ".json")
MOST_BYTES: Final = 64 * 2**20
"""Of a file: several times a policy that names each of a million hosts."""
MOST_ALIASED: Final = 100_000
"""Values that the aliases of a YAML file may stand for beside those that are written: ten aliases of ten aliases, six
times over, are a million values in a hundred characters."""
MOST_DIGITS: Final = 400
"""Of a number: no field takes more, and a megabyte of them takes minutes to be read."""
MOST_FAULTS: Final = 100
"""Wrong fields of a file that are told; to look up the lines of a hundred thousand takes minutes."""
_ODD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What YAML's and JSON's readers raise beside their own errors, for values that are not as their tags say."""


class FileKind(NamedTuple):
    """What a file is to be."""

    name: str
    """As in "is not a policy"."""
    rule: str
    """Short name of the finding for a file that is none."""
    remedy: str


def read_fields(path: AnyPath, kind: FileKind, most_bytes: int = MOST_BYTES) -> tuple[dict[str, Any], str]:
    """Return the fields with their values, and the text that they stand in.

    Raises
    ------
    UsageError
        If there is no such file, its suffix is none of :data:`SUFFIXES`, or it cannot be read.
    InputError
        If it holds no fields.
    """
    check_suffix(path, kind)
    try:
        text = content(path, most_bytes).decode()
    except UnicodeDecodeError as error:
        raise refusal(path, kind, "it is not text in UTF-8") from error
    try:
        data = json.loads(text, object_pairs_hook=_mapping) if path.suffix == ".json" else _loaded(text)
    except (yaml.YAMLError, *_ODD) as error:
        raise refusal(path, kind, _said(error)) from error
    if data is None:
        raise refusal(path, kind, "the file is empty")
    if not isinstance(data, dict):
        raise refusal(path, kind, f"expected fields with values, found a {type(data).__name__}")
    return data, text


def as_json(path: AnyPath, kind: FileKind, data: object, default: Callable[[Any], str] = str) -> str:
    """Return what a file holds as JSON, in which strict readers take lists, dates and times for what they are.

    Raises
    ------
    InputError
        If JSON has nothing for it.
    """
    try:
        return json.dumps(data, default=default)
    except _ODD as error:
        raise refusal(path, kind, _said(error)) from error


def content(path: AnyPath, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the bytes of a regular file; a pipe or a device is not waited for.

    Raises
    ------
    UsageError
        If it is none, cannot be read, or is longer than ``most_bytes``.
    """
    try:
        found = _regular(path, most_bytes + 1) if isinstance(path, Path) else path.read_bytes()
    except FileNotFoundError as error:
        is_link = isinstance(path, Path) and path.is_symlink()
        fact = "is a link to nothing" if is_link else "there is no such file"
        raise UsageError(str(path), fact, "Check the path") from error
    except OSError as error:
        fact = f"cannot be read: {error.strerror or error}"
        raise UsageError(str(path), fact, "Check the path and its permissions") from error
    if len(found) > most_bytes:
        raise UsageError(str(path), f"has more than {most_bytes:,} bytes", "Say less in it")
    return found


def check_suffix(path: AnyPath, kind: FileKind) -> None:
    """Refuse a path that cannot be such a file, by its suffix.

    Raises
    ------
    UsageError
        If the suffix is none of :data:`SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        fact = f"has the suffix `{path.suffix}`" if path.suffix else "has no suffix"
        raise UsageError(str(path), fact, f"A {kind.name} is a file of one of {', '.join(SUFFIXES)}")


def refusal(path: AnyPath, kind: FileKind, fact: str) -> InputError:
    """Return the error of a file that is something else."""
    finding = Finding(kind.rule, fact, kind.remedy, file=path.name)
    return InputError(str(path), f"is not a {kind.name}", "Correct what is listed here", (finding,))


def _regular(path: Path, bytes_read: int) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UsageError(str(path), "is no regular file", "Write a file in its place")
        return file.read(bytes_read)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if key is not None and not isinstance(key, str | int | float):
                raise ValueError(f"a {type(key).__name__} in line {line} is no name of a field; put it into quotes")
            if key in seen:
                raise ValueError(f"`{key}` is given twice, again in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _loaded(text: str) -> Any:  # noqa: ANN401  (what a file holds)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        counted: dict[yaml.Node, int | None] = {}
        aliased = _values(node, counted) - len(counted)
        if aliased > MOST_ALIASED:
            raise ValueError(f"its aliases stand for {aliased:,} values; write out what is meant")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _values(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """Return how many values a node stands for, each alias written out; ``counted`` has those before."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise ValueError(f"the value in line {node.start_mark.line + 1} holds itself, by an alias")
        return known
    counted[node], found = None, 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found += _values(key, counted) + _values(value, counted)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _values(value, counted)
    elif node.tag.endswith((":int", ":float")) and len(node.value) > MOST_DIGITS:
        raise ValueError(f"the number in line {node.start_mark.line + 1} has more than {MOST_DIGITS} digits")
    counted[node] = found
    return found


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's pairs as a mapping; refuse a key given twice."""
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"`{key}` is given twice")
        mapping[key] = value
    return mapping


def _said(error: Exception) -> str:
    """Return why a text cannot be read, in one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, yaml.YAMLError | ValueError):
        return " ".join(str(error).split())
    return f"a value is not what its tag says: {error}"
