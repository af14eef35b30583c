"""A campaign told event by event: what is decided at which moment."""

from campaigns import RULES

from slacktide.executors import events
from slacktide.executors.campaign_state import initial_state
from slacktide.executors.decisions import next_actions
from slacktide.executors.folding import fold
from slacktide.executors.journal import Entry


class Story:
    """A campaign told event by event."""

    def __init__(self, program, rules=RULES) -> None:
        self.program, self.rules = program, rules
        self.state = initial_state(program)
        self.entries: list[Entry] = []

    def happens(self, *told) -> "Story":
        new = [Entry(self.state.last + 1 + place, event) for place, event in enumerate(told)]
        self.state = fold(self.state, new)
        self.entries += new
        return self

    def at(self, now):
        """Decide at ``now`` and let what is decided be journaled."""
        actions = next_actions(self.program, self.state, now, self.rules)
        self.happens(*actions)
        return actions

    def moved(self, now, *migrations, attempt=1) -> "Story":
        for migration in migrations:
            self.happens(
                events.ForwardingStarted(now - 1, migration, attempt, 100.0),
                events.MigrationDone(now, migration, attempt, 8192.0, 110.0),
            )
        return self


def drained_to(program, rules=RULES) -> Story:
    story = Story(program, rules)
    story.at(0)
    story.at(60)
    return story


def canary_back(program, returned_s, rules=RULES) -> Story:
    story = drained_to(program, rules)
    story.moved(100, "m1", "m2")
    story.at(101)
    story.at(740)
    story.happens(events.PatchStarted(101, "h1"), events.HostReturned(returned_s, "h1"))
    story.at(returned_s)
    return story
