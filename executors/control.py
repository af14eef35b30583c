"""What people, signals and drift ask of a running campaign, and what is done about it."""

from slacktide.executors.control_events import DecisionAwaited, DecisionOver
from slacktide.executors.decisions import Scheduler
from slacktide.executors.events import Event
from slacktide.executors.health.guard import Guard
from slacktide.executors.ledger import Ledger
from slacktide.executors.orders import answer
from slacktide.executors.replanning import Replanning
from slacktide.executors.revising import Made, Revising
from slacktide.executors.rules import Rules
from slacktide.executors.wanted import Wanted


class Control:
    """Answers orders, pauses where health asks for it, and has the rest planned anew."""

    def __init__(self, ledger: Ledger, rules: Rules, revising: Revising | None, *, virtual: bool) -> None:
        self._ledger = ledger
        self._health = Guard(rules.health)
        self._replanning = None if revising is None else Replanning(revising, rules, ledger.state)
        self._waits_for_revisions = virtual and rules.speed is None
        """A revision takes no time of the campaign's."""
        self._answered = 0
        """Number of the newest order that was answered, if not yet in the journal."""
        self._asks = None if ledger.state.decision is None else ledger.state.decision.why
        """What people were last told to decide; null: nothing."""

    @property
    def is_replanning(self) -> bool:
        """Whether a revision is being made."""
        return self._replanning is not None and self._replanning.is_making

    def take_orders(self, scheduler: Scheduler, now: float) -> None:
        """Answer what has been asked of the campaign since, in the journal and to the scheduler."""
        replanning, ledger = self._replanning, self._ledger
        if replanning is not None and replanning.order is not None:
            return
        orders = ledger.journal.orders(max(self._answered, ledger.state.orders))
        for order in orders:
            ledger.write(now)
            told = answer(order, ledger.state, now, revisable=replanning is not None)
            if isinstance(told, Wanted):
                assert replanning is not None, "otherwise it is refused"
                replanning.order = told
                return
            self._answered = order.number
            ledger.note([told])
            scheduler.observe([told])
        if orders:
            ledger.write(now)

    def guard(self, scheduler: Scheduler, news: list[Event], now: float) -> None:
        """Pause the campaign where a signal or a budget asks for it."""
        if self._health.is_due(news):
            self._ledger.write(now)
            while self._health.awaits_first():
                self._ledger.journal.keep()
            told = self._health.judge(self._ledger.state, now)
            scheduler.observe(told)
            self._ledger.note(told)

    def replan(self, scheduler: Scheduler, now: float) -> bool:
        """Have the rest planned anew where that is asked for; return whether there is a revision to go over to."""
        replanning, ledger = self._replanning, self._ledger
        step = None if replanning is None else replanning.next(scheduler, ledger.state, now)
        if replanning is None or step is None:
            return False
        if isinstance(step, Wanted):
            ledger.write(now)
            scheduler.hold()
            replanning.begin(step, ledger.state.copy(), now)
            if not self._waits_for_revisions:
                return False
            step = replanning.wait(now)
        if isinstance(step, Made):
            ledger.going_over = step
            ledger.note([replanning.event(step, ledger.state, now)])
            return True
        ledger.note([step])
        self._answered = max(self._answered, step.order)
        if replanning.gives_way(step):
            scheduler.give_way()
        scheduler.go_on()
        return False

    def ask(self, scheduler: Scheduler, now: float) -> None:
        """Have the journal say what a person has to decide, where that is other than before."""
        asks = scheduler.asks()
        if asks == self._asks or scheduler.finished:
            return
        self._asks = asks
        self._ledger.note([DecisionOver(now) if asks is None else DecisionAwaited(now, asks)])

    def due_s(self, scheduler: Scheduler, now: float) -> float | None:
        """Return when it is to be looked again whether to plan anew; null: when something else happens."""
        return None if self._replanning is None else self._replanning.due_s(scheduler, now)

    def waits_for(self) -> str | None:
        """Return that nothing new begins for a revision is being made; null: none is."""
        return None if self._replanning is None else self._replanning.waits_for()

    def close(self) -> None:
        """Look at no signal any more, and let go of what makes revisions."""
        self._health.close()
        if self._replanning is not None:
            self._replanning.close()
