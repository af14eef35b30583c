"""Policies as files: YAML or JSON, read strictly."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError

from slacktide import atomic
from slacktide.errors import InputError
from slacktide.findings import Finding
from slacktide.object_store import AnyPath
from slacktide.planner import strict_files
from slacktide.planner.policy import Policy
from slacktide.planner.policy_mending import line_of, proposal
from slacktide.planner.strict_files import FileKind

LATER: Final = ("weights", "in_place", "approve_start", "evacuate")
"""Fields that policies have had only since digests of them were kept."""
KIND: Final = FileKind(
    "policy",
    "policy-file",
    "Write fields and values, such as `link_share: 0.5`; `{}` is the policy of all defaults",
)


def read_policy(path: AnyPath) -> Policy:
    """Return the policy in a YAML or JSON file.

    Raises
    ------
    UsageError
        If there is no such file, or its suffix is none of :data:`~slacktide.planner.strict_files.SUFFIXES`.
    InputError
        If it is not a policy; the findings name each field and the remedy.
    """
    data, text = strict_files.read_fields(path, KIND)
    try:
        return Policy.model_validate_json(strict_files.as_json(path, KIND, data), strict=True)
    except ValidationError as error:
        findings = _findings(path, error, data, text)
        count = f"{len(findings)} wrong field{'s' if len(findings) > 1 else ''}"
        raise InputError(str(path), count, "Correct what is listed here", findings) from error
    except (ValueError, RecursionError) as error:
        raise strict_files.refusal(path, KIND, " ".join(str(error).split())) from error


def write_policy(policy: Policy, path: AnyPath) -> None:
    """Write every field of the policy, defaults included, as YAML or JSON by the path's suffix.

    Raises
    ------
    UsageError
        If the suffix is none of :data:`~slacktide.planner.strict_files.SUFFIXES`.
    OutputError
        If the file cannot be written.
    """
    check_suffix(path)
    data = policy.model_dump(mode="json")
    if path.suffix == ".json":
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    atomic.write_file(path, text.encode())


def policy_digest(policy: Policy) -> str:
    """Return the SHA-256 of the policy's meaning: every field by name, however the file was written."""
    canonical = json.dumps(meaning(policy.model_dump(mode="json")), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def meaning(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a policy's fields without those of later versions that are not set: digests from before stay true."""
    return {name: value for name, value in fields.items() if name not in LATER or value}


def check_suffix(path: AnyPath) -> None:
    """Refuse a path that no policy can be read from or written to, by its suffix.

    Raises
    ------
    UsageError
        If the suffix is none of :data:`~slacktide.planner.strict_files.SUFFIXES`.
    """
    strict_files.check_suffix(path, KIND)


def _findings(path: AnyPath, error: ValidationError, data: dict[str, Any], text: str) -> tuple[Finding, ...]:
    """Return one finding for each innermost wrong field: a field of several kinds fails in each of them."""
    findings: dict[str, Finding] = {}
    for fault in error.errors(include_url=False, include_input=False)[: strict_files.MOST_FAULTS]:
        name, siblings = _field(fault["loc"])
        line = line_of(text, fault["loc"]) if path.suffix != ".json" else None
        place = f"`{name}`" if line is None else f"`{name}` in line {line}"
        if fault["type"] == "extra_forbidden":
            message, remedy = f"{place} is not a field of a policy", _nearest(name, siblings)
        else:
            what, _, how = fault["msg"].removeprefix("Value error, ").partition("; ")
            message = f"{place}: {what}" if name else what
            better = proposal(data, fault["loc"])
            remedy = f"Write {better}" if better else f"{how[0].upper()}{how[1:]}" if how else "Correct the value"
        findings.setdefault(name or message, Finding("policy-field", message, remedy, file=path.name))
    inner = {name.rpartition(".")[0] for name in findings}
    return tuple(finding for name, finding in findings.items() if name not in inner)


def _field(location: tuple[int | str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return a field's dotted name, without the kinds that pydantic puts into it, and its possible names."""
    model: Any = Policy
    parts: list[str] = []
    siblings: tuple[str, ...] = ()
    for part in location:
        if isinstance(part, int):
            parts.append(str(part))
        elif isinstance(model, type) and issubclass(model, BaseModel):
            siblings = tuple(model.model_fields)
            field = model.model_fields.get(str(part))
            model = _innermost(field.annotation) if field else None
            parts.append(str(part))
        elif model is dict or getattr(model, "__origin__", None) is dict:
            parts.append(str(part))
            model = None
    return ".".join(parts), siblings


def _innermost(annotation: Any) -> Any:  # noqa: ANN401  (whatever a field may be annotated with)
    """Return the part of a policy in an annotation such as ``tuple[Part, ...]`` or ``Part | None``, or all of it."""
    parts = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return parts[0] if parts else annotation


def _nearest(name: str, siblings: Sequence[str]) -> str:
    last = name.rpartition(".")[2]
    nearest = difflib.get_close_matches(last, siblings, n=1, cutoff=0.5)
    return f"Did you mean `{nearest[0]}`?" if nearest else f"Fields here: {', '.join(siblings)}"
