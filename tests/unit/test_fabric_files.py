"""Files that say what a fabric is: what is refused, and by which name."""

import json
from pathlib import Path

import pytest

from slacktide.errors import DriverError, InputError, UsageError
from slacktide.executors.drivers.libvirt.checking import check_in_fabric
from slacktide.executors.drivers.protocol import MigrationRequest
from slacktide.executors.fabrics.settings import BridgeFabricSettings, VxlanFabricSettings, known_hosts, read_fabric

VXLAN = {
    "kind": "vxlan",
    "endpoints": {"h1": {"namespace": "lab-h1", "address": "10.7.1.1"}, "h2": {"address": "10.7.2.1"}},
}
ONE_PLACE = {"h1": {"address": "10.7.1.1"}, "h2": {"address": "10.7.2.1"}}

WAY = MigrationRequest("m1", 1, "vm1", "h1", "h2", "precopy", 160, 400, 4.0, 200.0, 80.0, 0.0)


def written(folder: Path, text: object) -> Path:
    path = folder / "fabric.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_both_kinds_are_read_with_what_they_leave_out(tmp_path: Path) -> None:
    found = read_fabric(written(tmp_path, VXLAN))
    assert isinstance(found, VxlanFabricSettings)
    assert (found.device, found.forward_device, found.limit_s, found.forward) == ("vxlan0", "forward0", 30.0, True)
    assert known_hosts(found) == {"h1", "h2"}
    bridges = read_fabric(written(tmp_path, {"kind": "bridge", "bridges": {"h1": {"uplinks": ["eth0"]}}}))
    assert isinstance(bridges, BridgeFabricSettings)
    assert known_hosts(bridges) == {"h1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[" * 200_000, "cannot be read"),
        ('{"kind": "bridge", "kind": "vxlan"}', "kind is there twice"),
        ({}, "is no fabric"),
        ({"kind": "bridge", "bridges": {}}, "bridges"),
        (VXLAN | {"endpoints": {}}, "endpoints"),
        (VXLAN | {"limit_s": 0}, "limit_s"),
        (VXLAN | {"speed": 1}, "speed"),
        (VXLAN | {"device": 'vxlan0"; flush ruleset #'}, "device"),
        (VXLAN | {"forward_device": "vxlan0"}, "three devices"),
        (VXLAN | {"endpoints": {"h1": {"namespace": "../../etc", "address": "10.7.1.1"}}}, "namespace"),
        *(
            (VXLAN | {"endpoints": {"h1": {"address": address}}}, f"h1 has {address}, at which no tunnel ends")
            for address in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255")
        ),
        (VXLAN | {"endpoints": {"": {"address": "10.7.1.1"}}}, "at least 1 character"),
        ({"kind": "bridge", "bridges": {"": {}}}, "at least 1 character"),
        (VXLAN | {"endpoints": ONE_PLACE}, "h1 and h2 are both in no namespace"),
        (
            VXLAN | {"endpoints": {host: each | {"namespace": "lab"} for host, each in ONE_PLACE.items()}},
            "h1 and h2 are both in namespace lab",
        ),
        (VXLAN | {"endpoints": {name: {"address": "10.7.1.1"} for name in ("h1", "h2")}}, "h1 and h2 have one address"),
    ],
)
def test_what_could_not_work_is_refused_with_the_place_that_is_wrong(tmp_path: Path, text: object, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as refused:
        read_fabric(path)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_fabric(tmp_path / "none.json")


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_way_from_or_to_a_host_outside_is_refused_for_good(end: str) -> None:
    with pytest.raises(DriverError) as refused:
        check_in_fabric(frozenset({"h1", "h2"}), WAY._replace(**{end: "h3"}))
    assert not refused.value.retryable
    assert "VM vm1: h3 is not in the file of --fabric" in str(refused.value)
    assert "Name every host in it" in str(refused.value)


def test_a_way_within_the_fabric_is_not_refused_nor_any_where_nothing_is_told() -> None:
    check_in_fabric(frozenset({"h1", "h2"}), WAY)
    check_in_fabric(None, WAY._replace(target="h3"))
