"""Policies as files."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from faulty_files import fault_of
from small_fleet import small_fleet

from slacktide.errors import InputError, OutputError, UsageError
from slacktide.planner.policy import PRESETS, Policy
from slacktide.planner.policy_files import policy_digest, read_policy, write_policy
from slacktide.service.commands.plan import fitted_preset


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def fault(path: Path, text: str) -> str:
    return fault_of(read_policy, path, text)


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_written_policy_reads_back_the_same(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"policy{suffix}"
    write_policy(PRESETS[name], path)
    assert read_policy(path) == PRESETS[name]


def test_unset_fields_have_their_defaults(policy_file: Path) -> None:
    policy_file.write_text("link_share: 1\nmax_out: {fleet: 3, rack: 20%}\nselection: {hosts: [h1, h2]}\n")
    policy = read_policy(policy_file)
    assert policy.link_share == 1.0
    assert policy.max_out == {"fleet": 3, "rack": "20%"}
    assert policy.selection.hosts == ("h1", "h2")
    assert policy.gates == Policy().gates


def test_a_misspelt_field_is_answered_with_the_nearest(policy_file: Path) -> None:
    text = fault(policy_file, "link_shar: 0.5\n")
    assert "`link_shar` in line 1 is not a field" in text
    assert "Did you mean `link_share`?" in text
    text = fault(policy_file, "migration: {godput: 0.5}\n")
    assert "`migration.godput` in line 1 is not a field" in text
    assert "Did you mean `goodput`?" in text


def test_a_field_like_no_other_is_answered_with_all(policy_file: Path) -> None:
    assert "Fields here: hosts, bake_s" in fault(policy_file, "canary: {xyzzy: 1}\n")


def test_contradictory_fields_have_the_policys_own_words(policy_file: Path) -> None:
    text = fault(policy_file, "gates: {bake_s: 60}\n")
    assert "`gates.bake_s` contradicts `gates.kind: pipelined`" in text
    assert "Set `gates.kind: baked` or remove `bake_s`" in text


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("link_share: 1.5", "link_share"),
        ("link_share: '0.5'", "link_share"),
        ("deadline_s: true", "deadline_s"),
        ("deadline_s: 1.5", "deadline_s"),
        ("selection: {hosts: some}", "selection.hosts"),
        ("selection: {hosts: [1]}", "selection.hosts.0"),
        ("max_out: {rack: 120%}", "max_out.rack"),
        ("canary: {hosts: -1}", "canary.hosts"),
        ("objective: []", "objective"),
        ("objective: [speed]", "objective.0"),
        ("migration: {strategies: [restart]}", "migration.strategies.0"),
        ("canary: 3", "canary"),
        ("link_share: .nan", "link_share"),
        ("assume: {dirty_mib_s: .inf}", "assume.dirty_mib_s"),
        ("max_out: {fleet: 1e-99999999%}", "max_out.fleet"),
        ("max_out: {fleet: 1/0%}", "max_out.fleet"),
        ("max_out: {fleet: 99999999999999999999999}", "max_out.fleet"),
        ("reserve: {hosts: 1000000000000000000000}", "reserve.hosts"),
        ("canary: {hosts: 1, bake_s: 9223372036854775807}", "canary.bake_s"),
        ("gates: {max_wave_hosts: 0}", "gates.max_wave_hosts"),
        ("gates: {max_wave_hosts: 0%}", "gates.max_wave_hosts"),
    ],
)
def test_a_wrong_value_is_named_by_its_field(policy_file: Path, text: str, field: str) -> None:
    said = fault(policy_file, text)
    assert f"`{field}`" in said
    assert "1 wrong field." in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: mine\nreserve: {share: 3%}", "`reserve.share` in line 2: Input should be a valid number"),
        ("reserve: {share: 3%}", "Write 0.03"),
        ("reserve: 3%", "Write {share: 0.03}"),
        ("reserve: 2", "Write {hosts: 2}"),
        ("canary: 2", "Write {hosts: 2}"),
        ("gates: baked", "Write {kind: baked}"),
        ("selection: [h1, h2]", "Write {hosts: [h1, h2]}"),
        ("max_out: 20%", "Write {fleet: 20%}"),
        ("max_out: {rack: 0.25}", "Write 25%"),
        ("link_share: '0.5'", "Write 0.5"),
        ("link_share: 50", "Write 0.5"),
        ("deadline_s: 4h", "Write 14400"),
        ("migration:\n  blackout_limit_ms: 0.5s", "`migration.blackout_limit_ms` in line 2: "),
        ("migration: {blackout_limit_ms: 300.0}", "Write 300"),
        ("objective: makespan", "Write [makespan]"),
        ("weights: {hosts: [a], weight: 3}", "Write [{hosts: [a], weight: 3}]"),
        ("name: 3", "Write '3'"),
        ("link_share: 1.5", "Correct the value"),
        ("canary: {hosts: -1}", "A count cannot be negative"),
        ("canary: {bake_s: 60, hosts: 1,\n  hots: 2}", "`canary.hots` in line 2 is not a field"),
    ],
)
def test_a_wrong_value_is_answered_with_what_to_write_and_where(policy_file: Path, text: str, said: str) -> None:
    assert said in fault(policy_file, text)


def test_json_has_no_lines(tmp_path: Path) -> None:
    assert "`reserve`: Input should be an object [policy-field]. Write {hosts: 2}" in fault(
        tmp_path / "policy.json", '{"reserve": 2}'
    )


def test_every_wrong_field_is_named(policy_file: Path) -> None:
    said = fault(policy_file, "link_share: 2\ndeadline_s: 0\nnmae: x\n")
    assert "3 wrong fields" in said


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 7)
)
"""Ten of ten, six times over."""


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n", "found a list"),
        ("fast", "found a str"),
        ("link_share: [", "expected the node content"),
        ("link_share: 0.5\nlink_share: 0.6\n", "`link_share` is given twice, again in line 2"),
        ("canary: {hosts: 1, hosts: 2}\n", "`hosts` is given twice"),
        ("a: &a [*a]\n", "the value in line 1 holds itself, by an alias"),
        ("2026-01-01: x\n", "a date in line 1 is no name of a field"),
        (ALIASES, "its aliases stand for 12,345,660 values"),
        (f"link_share: {'1:' * 1000}1\n", "the number in line 1 has more than 400 digits"),
        ("name: !!timestamp soon\n", "a value is not what its tag says"),
    ],
)
def test_what_is_not_a_policy_is_refused(policy_file: Path, text: str, fact: str) -> None:
    assert fault(policy_file, text).count(fact) == 1


def test_json_is_as_strict(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    assert "`name` is given twice" in fault(path, '{"name": "a", "name": "b"}')
    assert "the file is empty" in fault(path, "null")
    assert "Expecting value" in fault(path, "")
    assert "Did you mean `reserve`?" in fault(path, '{"reserv": {}}')


def test_bytes_that_are_no_text_are_refused(policy_file: Path) -> None:
    policy_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_policy(policy_file)


def test_a_wrong_path_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_policy(tmp_path / "missing.yaml")
    with pytest.raises(UsageError, match=r"\.toml"):
        read_policy(tmp_path / "policy.toml")
    with pytest.raises(UsageError, match="has no suffix"):
        write_policy(Policy(), tmp_path / "policy")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(tmp_path / "folder.yaml")
    with pytest.raises(OutputError):
        write_policy(Policy(), tmp_path / "missing" / "policy.yaml")


def test_the_digest_is_that_of_the_meaning() -> None:
    one = Policy(max_out={"fleet": 1, "rack": 2})
    other = Policy(max_out={"rack": 2, "fleet": 1})
    assert policy_digest(one) == policy_digest(other)
    assert policy_digest(one) != policy_digest(Policy(max_out={"fleet": 2, "rack": 2}))
    assert len(policy_digest(one)) == 64


def test_a_preset_has_no_limits_for_domains_that_a_fleet_lacks(capsys) -> None:
    fleet = small_fleet()
    assert set(fitted_preset(PRESETS["urgent"], fleet).max_out) == {"fleet", "rack"}
    assert "no domains of kind power in the fleet" in capsys.readouterr().err
    power = pl.DataFrame({"host_id": fleet.hosts["host_id"], "kind": "power", "domain_id": "feed-1"})
    whole = replace(fleet, domains=pl.concat([fleet.domains, power]))
    assert fitted_preset(PRESETS["urgent"], whole) is PRESETS["urgent"]
    assert not capsys.readouterr().err
