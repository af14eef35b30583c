"""Files of fields and values that people write: YAML or JSON, in which no key is given twice."""

import json
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

import yaml

from slacktide.errors import InputError, UsageError
from slacktide.findings import Finding
from slacktide.object_store import AnyPath

SUFFIXES: Final = (".yaml", ".yml", ".json")


class FileKind(NamedTuple):
    """What a file is to be."""

    name: str
    """As in "is not a policy"."""
    rule: str
    """Short name of the finding for a file that is none."""
    remedy: str


def read_fields(path: AnyPath, kind: FileKind) -> tuple[dict[str, Any], str]:
    """Return the fields with their values, and the text that they stand in.

    Raises
    ------
    UsageError
        If there is no such file, or its suffix is none of :data:`SUFFIXES`.
    InputError
        If it holds no fields.
    """
    text = _text(path, kind)
    try:
        data = json.loads(text, object_pairs_hook=_mapping) if path.suffix == ".json" else yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise refusal(path, kind, " ".join(str(error).split()) or "nested too deeply") from error
    if data is None:
        raise refusal(path, kind, "the file is empty")
    if not isinstance(data, dict):
        raise refusal(path, kind, f"expected fields with values, found a {type(data).__name__}")
    return data, text


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


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ValueError(f"`{key}` is given twice, again in line {key_node.start_mark.line + 1}")
            seen.append(key)
        return super().construct_mapping(node, deep)


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's pairs as a mapping; refuse a key given twice."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"`{next(key for key in keys if keys.count(key) > 1)}` is given twice")
    return mapping


def _text(path: AnyPath, kind: FileKind) -> str:
    check_suffix(path, kind)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(str(path), "there is no such file", "Check the path") from error
    except OSError as error:
        raise UsageError(
            str(path), f"cannot be read: {error.strerror}", "Check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise refusal(path, kind, "it is not text in UTF-8") from error
