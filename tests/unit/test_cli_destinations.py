"""Where results may go is known before the work starts."""

import os

import pytest

from slacktide.errors import OutputError, UsageError
from slacktide.executors.campaign_file import CAMPAIGN_FILES
from slacktide.service.destinations import check_campaign, check_directory, check_file


def test_a_new_directory_and_one_of_the_same_kind(tmp_path):
    check_directory(tmp_path / "new", ["a"])
    (tmp_path / "a").touch()
    check_directory(tmp_path, ["a"])


def test_a_directory_of_other_things(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"is not empty: it holds thesis\.tex"):
        check_directory(tmp_path, ["a"])


def test_a_file_where_a_directory_should_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        check_directory(tmp_path / "file", [])


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(UsageError, match="the folder does not exist"):
        check_directory(tmp_path / "no" / "plan", [])


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        check_file(tmp_path / "file" / "page.html")


def test_a_directory_where_a_file_should_be(tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        check_file(tmp_path)


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(OutputError, match="Permission denied"):
        check_directory(tmp_path / "plan", [])


def test_a_campaign_goes_on_where_its_journal_is(tmp_path):
    (tmp_path / "report.json").touch()
    with pytest.raises(UsageError, match="is not empty"):
        check_campaign(tmp_path, CAMPAIGN_FILES)
    for name in ("journal.sqlite", "campaign.json"):
        (tmp_path / name).touch()
        check_campaign(tmp_path, CAMPAIGN_FILES)
        (tmp_path / name).unlink()
