"""How commands end: exit codes, errors in words and as JSON."""

import json
import signal

import pytest

from slacktide.errors import InputError, InternalError, OutputError, UsageError
from slacktide.findings import Finding
from slacktide.service.failures import guarded
from slacktide.service.interrupts import remembered_interrupts


class PanicException(BaseException):
    """What a library in Rust raises for its own bug."""


def ends_with(error: BaseException, *, as_json: bool = False) -> int:
    def command() -> int:
        raise error

    return guarded(command, as_json=as_json)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("x", "is wrong", "Mend it"), 2, "error: x: is wrong. Mend it"),
        (InputError("x", "is wrong", "Mend it"), 1, "error: x: is wrong. Mend it"),
        (OutputError("x", "is full", "Empty it"), 1, "error: x: is full. Empty it"),
        (OSError(28, "No space left on device", "here"), 1, "error: here: No space left on device"),
        (MemoryError(), 1, "error: there is not enough memory. Use a machine with more memory, or a smaller fleet"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_foreseen_errors(capsys, error, code, text):
    assert ends_with(error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == text


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x\ny"), InternalError("x", "contradicts itself", "Report it"), PanicException("x")]
)
def test_a_bug_is_one_line_that_says_how_to_report_it(capsys, monkeypatch, error):
    monkeypatch.delenv("SLACKTIDE_TRACEBACK", raising=False)
    assert ends_with(error) == 70
    message = capsys.readouterr().err
    assert message.startswith(f"error: this is a bug in Slacktide: {type(error).__name__}: x")
    assert "SLACKTIDE_TRACEBACK=1" in message
    assert len(message.splitlines()) == 1


def test_a_bug_shows_its_traceback_when_asked(capsys, monkeypatch):
    monkeypatch.setenv("SLACKTIDE_TRACEBACK", "1")
    assert ends_with(ZeroDivisionError("x")) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_error_as_json_carries_its_findings(capsys):
    finding = Finding("some-rule", "v1 is wrong", "Mend v1", file="vms.parquet", row=3)
    assert ends_with(InputError("fleet", "has 1 error", "Correct it", [finding]), as_json=True) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "error": {
            "kind": "InputError",
            "subject": "fleet",
            "fact": "has 1 error",
            "remedy": "Correct it",
            "exit_code": 1,
            "findings": [json.loads(json.dumps(finding.as_dict()))],
        }
    }
    assert "vms.parquet row 3: v1 is wrong" in captured.err


def test_a_code_goes_through():
    assert guarded(lambda: 1, as_json=False) == 1


def test_an_interrupt_is_remembered_although_it_was_caught():
    with remembered_interrupts() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interruption.happened
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
