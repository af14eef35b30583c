"""What a guest of Linux boots from, without booting one."""

import lzma
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from slacktide.errors import InputError, UsageError
from slacktide.lab import linux_image, requirements
from slacktide.lab.guest_image import Image
from slacktide.lab.guests import Guest, domain_xml
from slacktide.lab.initramfs import FOLDER, PROGRAM, Entry, archive, depends_on, in_load_order


def unpacked(packed: bytes) -> Iterator[Entry]:
    """Read an archive as the kernel does: a head of 110 letters, the name, the content, both filled up to four."""
    at = 0
    while True:
        assert packed[at : at + 6] == b"070701"
        fields = [int(packed[at + start : at + start + 8], 16) for start in range(6, 110, 8)]
        name_end = at + 110 + fields[11]
        name = packed[at + 110 : name_end]
        assert name.endswith(b"\0")
        begin = -(-name_end // 4) * 4
        at = -(-(begin + fields[6]) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert at == len(packed)
            return
        yield Entry(name[:-1].decode(), fields[1], packed[begin : begin + fields[6]])


def test_an_archive_holds_what_was_put_in_whatever_its_length() -> None:
    entries = [Entry("init", PROGRAM, b"\x7fELF"), Entry("modules", FOLDER)]
    entries += [Entry(f"modules/{'x' * size}", PROGRAM, b"." * size) for size in range(9)]
    assert list(unpacked(archive(entries))) == entries
    assert stat.S_ISDIR(FOLDER)
    assert stat.S_ISREG(PROGRAM)


def test_an_archive_by_hand() -> None:
    zero, head = "00000000", "070701" + "00000001" + "000081ED"
    first = head + zero * 2 + "00000001" + zero + "00000003" + zero * 4 + "00000003" + zero + "ab\0" + "\0" * 3
    last = "070701" + zero * 4 + "00000001" + zero * 6 + "0000000B" + zero + "TRAILER!!!\0" + "\0" * 3
    assert archive([Entry("ab", PROGRAM, b"123")]) == (first + "123\0" + last).encode()


def module(*needs: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=any\0"


def test_modules_come_after_those_they_depend_on_and_once() -> None:
    modules = {
        "card": module("ring", "bus", "failover", "built_in"),
        "bus": module("ring"),
        "ring": module(),
        "failover": module(),
        "other": module("card"),
    }
    assert list(in_load_order(modules.get, ["bus", "card", "missing"])) == ["ring", "bus", "failover", "card"]
    assert depends_on(modules["bus"]) == ["ring"]
    assert depends_on(b"no module") == []
    with pytest.raises(InputError, match="depends on itself"):
        in_load_order({"a": module("b"), "b": module("a")}.get, ["a"])


def test_packed_modules_are_numbered_as_they_are_to_be_loaded(tmp_path: Path) -> None:
    found = {entry.path: entry.content for entry in unpacked(linux_image.packed(b"program", [b"first", b"second"]))}
    assert found == {"init": b"program", "modules": b"", "modules/00.ko": b"first", "modules/01.ko": b"second"}
    compressed = tmp_path / "a.ko.xz"
    compressed.write_bytes(lzma.compress(b"module"))
    assert linux_image.content_of(compressed) == b"module"


def test_the_newest_kernel_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_image, "CACHE", tmp_path)
    assert linux_image.kernel_package() is None
    with pytest.raises(InputError, match="lab/install-on-debian"):
        linux_image.linux_image()
    for at_s, version in enumerate(("6.1.0-9", "6.1.0-10", "5.9")):
        package = tmp_path / f"linux-image-{version}-cloud-amd64_1_amd64.deb"
        package.touch()
        os.utime(package, (at_s, at_s))
    assert linux_image.kernel_package() == package


def test_only_labs_with_guests_of_linux_need_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_image, "CACHE", tmp_path)
    kernel = [each for each in requirements.missing("linux") if each not in requirements.missing()]
    assert "kernel for guests of Linux" in [each.what for each in kernel]
    with pytest.raises(UsageError, match=r"no kernel for guests of Linux \(lab/install-on-debian fetches it\)"):
        requirements.refuse_if_missing("bare", "linux")


def test_a_guest_of_linux_needs_memory_for_its_kernel() -> None:
    assert Guest(1, 114, 32, kind="linux").command_line == Guest(1, 64, 32).command_line
    with pytest.raises(UsageError, match="Give it 114 MiB or more"):
        Guest(1, 113, 32, kind="linux")
    with pytest.raises(UsageError, match="Give it 624 MiB or more"):
        Guest(1, 600, 512, kind="linux")


def test_a_domain_of_linux_has_the_programs_settings_behind_the_kernels(tmp_path: Path) -> None:
    image = Image(tmp_path / "vmlinuz", tmp_path / "initramfs", linux_image.OPTIONS)
    text = domain_xml(Guest(7, 160, 64, kind="linux"), image, "qemu")
    assert f"<initrd>{tmp_path}/initramfs</initrd>" in text
    assert "no_timer_check -- name=vm7 ip=10.9.1.7/16" in text
