"""What an answer over HTTP says is told in a few words, also where it is a page for people."""

import pytest

from slacktide.executors.maintenance.filling import answer_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("queue\n is full", "queue is full"),
        (
            "<!DOCTYPE HTML><html><head><title>Error &amp; response</title></head><body>404</body>",
            "a page, Error & response",
        ),
        ("<html><style>p {color: red}</style><p>File <b>not</b> found</p></html>", "a page, File not found"),
        ("<html></html>", "a page"),
    ],
    ids=["empty", "plain", "title", "no title", "blank"],
)
def test_answers(text, words) -> None:
    assert answer_words(text) == words
