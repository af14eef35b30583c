"""What a lab is made of, without making one."""

import pytest
from cryptography import x509

from slacktide.errors import UsageError
from slacktide.executors.probes.heartbeats import Gap
from slacktide.lab import requirements
from slacktide.lab.certificates import new_authority, new_pair, read_authority, write_authority
from slacktide.lab.guest_image import Image
from slacktide.lab.guests import Guest, domain_xml
from slacktide.lab.layout import Lab, LabHost, LabSettings, read_lab
from slacktide.lab.lifecycle import down


@pytest.mark.parametrize("name", ["", "Lab", "1st", "a-b", "a/b", "..", "../netns", "a" * 13])
def test_names_that_do_not_fit_namespaces_and_links_are_refused(name: str) -> None:
    for use in (lambda: LabSettings(name, 2, None), lambda: read_lab(name), lambda: down(name)):
        with pytest.raises(UsageError, match="no name for a lab"):
            use()


@pytest.mark.parametrize("hosts", [0, 201])
def test_as_many_hosts_as_there_are_addresses(hosts: int) -> None:
    with pytest.raises(UsageError, match="Ask for 1 to 200"):
        LabSettings("lab", hosts, None)


def test_hosts_have_names_and_addresses_of_their_own() -> None:
    hosts = Lab(LabSettings("lab", 200, None)).hosts
    for of in ("name", "namespace", "address", "migration_address", "socket"):
        assert len({getattr(host, of) for host in hosts}) == 200
    assert len(str(hosts[-1].socket)) < 108, "sockets have no longer paths"


def test_guests_have_addresses_and_cards_of_their_own_and_fit_their_memory() -> None:
    guests = [Guest(number) for number in range(1, 1001)]
    assert (
        len({guest.address for guest in guests} | {host.address for host in Lab(LabSettings("l", 200, 1)).hosts})
        == 1200
    )
    assert len({guest.card for guest in guests}) == 1000
    for number in (0, 10_001):
        with pytest.raises(UsageError, match="Number guests from 1 to 10,000"):
            Guest(number)
    with pytest.raises(UsageError, match="Choose 1 to 50 ms"):
        Guest(1, beat_ms=51)
    with pytest.raises(UsageError, match="Give it 88 MiB or more"):
        Guest(1, memory_mib=80, working_set_mib=64)


def test_a_guests_domain_says_what_it_is(tmp_path) -> None:
    text = domain_xml(Guest(7, 96, 64, dirty_mib_s=4.0), Image(tmp_path / "guest.elf"), "qemu")
    assert "<name>vm7</name>" in text
    assert "<memory unit='MiB'>96</memory>" in text
    assert "working_set_mib=64 dirty_pages_s=1024 beat_ms=5" in text


def test_certificates_are_the_authoritys_and_name_the_host(tmp_path) -> None:
    authority = new_authority("ours")
    host = LabHost("lab", 3)
    pair = new_pair(authority, host.name, host)
    pair.certificate.verify_directly_issued_by(authority.certificate)
    with pytest.raises(ValueError, match="Issuer certificate subject does not match"):
        pair.certificate.verify_directly_issued_by(new_authority("another").certificate)
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.9.0.3", "10.8.0.3"]
    write_authority(tmp_path, authority)
    again = new_pair(read_authority(tmp_path), "client")
    again.certificate.verify_directly_issued_by(authority.certificate)


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError) as refused:
        requirements.refuse_if_missing()
    for words in ("no libvirtd (libvirt-daemon)", "no qemu-system-x86_64 (qemu-system-x86)", "no tc (iproute2)"):
        assert words in str(refused.value)
    assert "apt-get install" in refused.value.remedy


def test_guests_that_the_machine_has_no_memory_for_are_refused() -> None:
    requirements.refuse_if_too_large(1)
    with pytest.raises(UsageError, match="needs 1,000,000,000 MiB for its guests"):
        requirements.refuse_if_too_large(10**9)


def test_an_old_qemu_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "qemu-system-x86_64"
    old.write_text("#!/bin/sh\necho QEMU emulator version 7.2.19 '(Debian 1:7.2)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert requirements.qemu_version() == (7, 2)
    assert any("QEMU 8 or later, here is 7.2" in each.what for each in requirements.missing())


def test_a_blackout_is_the_silence_without_the_beat_that_was_due() -> None:
    assert Gap(0.0, 55.0, 5.0).blackout_ms == 50.0
    assert Gap(0.0, 4.0, 5.0).blackout_ms == 0.0
