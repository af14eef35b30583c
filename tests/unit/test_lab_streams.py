"""What became of a stream, from the numbers that came back and when."""

import pytest

from slacktide.errors import UsageError
from slacktide.executors.probes.heartbeats import Gap
from slacktide.lab.streams import UdpStream, evaluated


def test_everything_back_in_order() -> None:
    found = evaluated(4, [0, 1, 2, 3], [10.0, 10.5, 12.0, 12.5])
    assert found == (4, 4, 0, 0, 0, Gap(10.5, 1500.0, 500.0), None)


def test_what_stays_away_comes_twice_or_late_is_counted_each_once() -> None:
    arrived = [0, 1, 1, 4, 3, 5, 3, 1]  # 2 and 6 stay away, 1 comes thrice, 3 twice and after 4
    found = evaluated(7, arrived, [float(at) for at in range(len(arrived))])
    assert (found.sent, found.returned, found.lost) == (7, 5, 2)
    assert (found.duplicated, found.reordered) == (3, 1)
    assert found.gap == Gap(0.0, 1000.0, 1000.0)


def test_numbers_that_were_not_sent_do_not_count() -> None:
    found = evaluated(2, [0, 2, -1, 1], [0.0, 1.0, 2.0, 4.0])
    assert (found.returned, found.lost, found.duplicated, found.reordered) == (2, 0, 0, 0)
    assert found.gap == Gap(0.0, 4000.0, 4000.0)


@pytest.mark.parametrize("back", [[], [0]])
def test_of_fewer_than_two_arrivals_no_silence_is_known(back: list[int]) -> None:
    found = evaluated(3, back, [5.0] * len(back), "Connection reset by peer")
    assert (found.lost, found.gap) == (3 - len(back), None)
    assert found.broken == "Connection reset by peer"


@pytest.mark.parametrize("wrong", [{"messages_s": 0}, {"message_bytes": 7}])
def test_a_stream_of_nothing_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="Send some, of 8 bytes or more"):
        UdpStream(None, "127.0.0.1", **wrong)
