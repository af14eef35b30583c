"""The command that goes on with a campaign is told as it was given, without what is nobody's business."""

from pathlib import Path

import pytest

from slacktide.service.command_line import command_given, given

URL = "postgresql://eva:hush@db/night"


@pytest.mark.parametrize("store", [["--store", URL], [f"--store={URL}"]])
def test_a_command_is_told_without_password_and_without_what_is_for_once(store) -> None:
    assert command_given() is None
    with given(["run", "a fleet", "plan", *store, "--take-over", "-o", "c"]):
        told = command_given()
    named = " ".join(store).replace("eva:hush", "eva")
    assert told == (f"slacktide run 'a fleet' plan {named} -o c", str(Path.cwd()))


def test_of_a_store_that_cannot_be_read_nothing_is_told() -> None:
    with given(["run", "f", "p", "--store", "hush"]):
        assert command_given()[0] == "slacktide run f p --store URL"
