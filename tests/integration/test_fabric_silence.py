"""Fabrics whose kernel does not answer: a socket to which nobody sends, and a namespace that is never entered."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slacktide.errors import DriverError
from slacktide.executors.fabrics.asking import Asking
from slacktide.executors.fabrics.bridge import BridgeFabric
from slacktide.executors.fabrics.protocol import Move
from slacktide.executors.fabrics.settings import BridgeFabricSettings
from slacktide.executors.probes import namespaces

pytestmark = pytest.mark.integration
PATIENCE_S = 30.0
WITHIN_S = 0.3
SILENT = "has not answered for 0.3 s"
MOVE = Move("vm1", ("52:54:00:00:00:01",), "h1", "h2")


def until(found: Callable[[], object], wanted: object) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if found() == wanted:
                return
        except DriverError:
            pass
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_nobody_waits_for_ever_and_what_is_told_late_is_done_in_its_order() -> None:
    near, far = socket.socketpair()
    asking, done = Asking("the table", WITHIN_S), []
    with near, far:
        with pytest.raises(DriverError, match=f"the table: {SILENT}") as raised:
            asking.ask(lambda: done.append(near.recv(1)))
        assert raised.value.retryable
        for question, late in (("asked", False), ("told first", True), ("told next", True)):
            with pytest.raises(DriverError, match=SILENT):
                asking.ask(lambda question=question: done.append(question), late=late)
        assert done == []
        far.send(b"!")
        until(lambda: asking.ask(lambda: list(done)), [b"!", "told first", "told next"])
        asking.close()
    with pytest.raises(RuntimeError, match="closed"):
        asking.ask(lambda: None)


def test_what_goes_wrong_is_raised_where_it_was_asked_and_the_next_is_answered() -> None:
    asking = Asking("the table", PATIENCE_S)
    with pytest.raises(TimeoutError, match="its own"):
        asking.ask(lambda: (_ for _ in ()).throw(TimeoutError("its own")))
    assert asking.ask(lambda: 7) == 7
    asking.close()


def test_a_bridge_that_does_not_answer_is_named_until_it_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(namespaces, "NAMESPACES", tmp_path)
    os.mkfifo(tmp_path / "silent")
    bridges = {"h1": {"namespace": "silent"}, "h2": {"namespace": "none"}, "h3": {"namespace": "none"}}
    settings = BridgeFabricSettings.model_validate({"kind": "bridge", "bridges": bridges, "answer_within_s": WITHIN_S})
    fabric = BridgeFabric(settings)
    for _ in range(2):
        found = fabric.confirm(MOVE)
        assert found["h1"] == SILENT
        assert "No such file" in found["h3"], "others are asked all the same"
    with (tmp_path / "silent").open("w"):
        until(lambda: "Invalid argument" in fabric.confirm(MOVE)["h1"], wanted=True)
    fabric.close()


ENDS = """
import sys
from pathlib import Path
from slacktide.executors.fabrics.making import make_fabric
from slacktide.executors.fabrics.protocol import Move
from slacktide.executors.fabrics.settings import read_fabric
from slacktide.executors.probes import namespaces
namespaces.NAMESPACES = Path(sys.argv[1])
fabric = make_fabric(read_fabric(namespaces.NAMESPACES / "fabric.json"))
print(fabric.confirm(Move("vm1", ("52:54:00:00:00:01",), "h1", "h2"))["h1"])
fabric.close()
"""


@pytest.mark.parametrize(
    "kind",
    [
        '"kind": "bridge", "bridges": {"h1": {"namespace": "silent"}}',
        '"kind": "vxlan", "endpoints": {"h1": {"namespace": "silent", "address": "10.7.1.1"}}',
    ],
    ids=["bridge", "vxlan"],
)
def test_a_process_ends_though_a_kernel_never_answers(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "silent")
    (tmp_path / "fabric.json").write_text(f'{{{kind}, "answer_within_s": {WITHIN_S}}}')
    command = [sys.executable, "-c", ENDS, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S)
    assert (ended.stdout, ended.stderr, ended.returncode) == (f"{SILENT}\n", "", 0)
