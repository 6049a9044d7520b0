"""A fleet of virtual devices under the orchestrator's own rules, for `benchmarks.fleet`.

The rules are those of `orchestrator.domain` (pacing, selection, sharing, rounds), called with arrays of devices. What
is made up is the world: how many devices are awake at which hour, how long they work, how many drop out, an outage.

Time moves in steps of five seconds. A device that is asleep, or meets an outage, when it should check in tries again
after about the time that it was last told, as `device_sdk.runner` does.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.calendar_queue import PAGE_SECONDS, Calendar, Floats, Page, Places
from orchestrator.domain import pacing, rounds, selection, sharing
from orchestrator.domain.pacing import Limits, Traffic
from orchestrator.domain.rounds import Progress, RoundState
from orchestrator.domain.sharing import Claim
from wire.operator_messages import RoundPolicy

HOUR = 3600.0
DAY = 24 * HOUR
STEP_SECONDS = 5.0
NIGHT_SHARE = 0.25  # four times as many devices are awake at the best hour as at the worst (MLSys 2019, figure 5)
_MIDDLE, _SWING = (1 + NIGHT_SHARE) / 2, (1 - NIGHT_SHARE) / 2
WORK_SECONDS, WORK_SPREAD = 120.0, 0.5  # the median and the spread of a log-normal time from selection to report
DROP_OUT = 0.08  # 6 to 10 % there
AGGREGATION_SECONDS = 5.0
MANY_WAITS = 8  # see `waits_left`
_ASKED_A_PLACE = 50  # in one step; of ten million devices many times more come than a round has places for


@dataclass(frozen=True)
class World:
    """What happens to a fleet.

    Attributes:
        outage: from when to when the orchestrator does not answer, in seconds; None for never.
        is_patient: whether devices that meet an outage keep to the wait that they were last told. Others draw one up
            to five minutes, as if they had been told nothing.
    """

    devices: int
    days: float
    outage: tuple[float, float] | None
    is_patient: bool = True
    seed: int = 1

    def is_down(self, now: float) -> bool:
        """Whether the orchestrator does not answer."""
        return self.outage is not None and self.outage[0] <= now < self.outage[1]


@dataclass(frozen=True)
class Task:
    """A task of the population; `reads` for an evaluation."""

    name: str
    policy: RoundPolicy
    reads: bool = False


@dataclass
class Round:
    """A round as it stands; `report_times` of the devices that will report, in no order."""

    task: Task
    number: int
    progress: Progress = field(default_factory=lambda: Progress(RoundState.SELECTION, 0, 0, 0, None, None))
    report_times: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    ended_at: float | None = None

    def counted(self, now: float) -> Progress:
        """What the rule sees at this moment: devices that drop out stay outstanding."""
        return replace(self.progress, reported=int(np.count_nonzero(self.report_times <= now)))


@dataclass(frozen=True)
class Course:
    """How it went.

    Attributes:
        check_ins: by minute.
        estimated, awake: how many devices there seemed to be and were, by minute.
        rounds: those that ended, in their order.
    """

    check_ins: NDArray[np.int64]
    estimated: Floats
    awake: Floats
    rounds: list[Round]


def share_awake(now: float) -> float:
    """The share of the devices that are awake: least at four in the morning, most at four in the afternoon."""
    return float(_MIDDLE - _SWING * np.cos(_phase(now)))


def seconds_asleep(sleepiness: Floats, now: float) -> Floats:
    """How long devices that are asleep will be: until the share of the devices that are awake is theirs."""
    waking = np.arccos(np.minimum((_MIDDLE - sleepiness) / _SWING, 1))
    seconds: Floats = (waking - _phase(now)) * np.float32(DAY / (2 * np.pi))
    return seconds


def waits_left(draws: Floats) -> Floats:
    """How long after its waking a device that has slept for many waits tries for the first time, in waits.

    Tries that are 1/2 to 3/2 of a wait apart are a renewal process. After eight waits its density is even but for 2 in
    10,000: two tries with the waking between them are then as far apart as comes up in proportion to the distance, and
    the waking is anywhere between them.

    Args:
        draws: two random numbers in [0, 1) a device, [2, devices].
    """
    left: Floats = np.sqrt(0.25 + 2 * draws[0]) * draws[1]
    return left


def _phase(now: float) -> float:
    """Where in the day a moment is: 0 at four in the morning, -π and π at four in the afternoon."""
    return 2 * np.pi * ((now / DAY - 4 / 24 + 0.5) % 1 - 0.5)


class VirtualFleet:
    """A population, its tasks and its days; 24 bytes a device, and 4 for every task that lets devices rest."""

    def __init__(self, world: World, tasks: list[Task], limits: Limits) -> None:
        self._world = world
        self._tasks = tasks
        self._limits = limits
        self._random = np.random.default_rng(world.seed)
        n = world.devices
        enrolled = Page(
            number=np.arange(n, dtype=np.int32),
            due=self._random.uniform(0, 6 * HOUR, n).astype(np.float32),  # they enrol in the first six hours
            told=np.full(n, limits.shortest_seconds, np.float32),
            seen=np.full(n, -np.inf, np.float32),
            sleepiness=self._random.random(n, np.float32),
        )
        self._calendar = Calendar(enrolled)
        self._page = enrolled  # this minute's; what methods take for devices are places on it
        self._own_draw = self._random.random(n, np.float32)  # what `selection.draw_of` is to a device's id
        self._last_round = {
            task.name: np.full(n, selection.NEVER, np.int32) for task in tasks if task.policy.minimum_rounds_between
        }
        self._traffic = Traffic(0.0)
        self._open = [Round(task, 1) for task in tasks]
        self._ended: list[Round] = []

    def live(self) -> Course:
        """Let the days pass."""
        minutes = round(self._world.days * DAY / PAGE_SECONDS)
        check_ins = np.zeros(minutes, np.int64)
        estimated, awake = np.zeros(minutes, np.float32), np.zeros(minutes, np.float32)
        for minute in range(minutes):
            start, end = minute * PAGE_SECONDS, (minute + 1) * PAGE_SECONDS
            self._page = self._calendar.take(minute)
            again = np.zeros(0, np.int64)  # those that come twice in a minute
            for step, due in enumerate(self._due_by_step(start), 1):
                now = start + step * STEP_SECONDS
                is_due = self._page.due[again] <= now
                coming = np.concatenate([due, again[is_due]])
                check_ins[minute] += self._step(coming, now)
                again = np.concatenate([again[~is_due], coming[self._page.due[coming] <= end]])
            self._calendar.write(self._page, minute + 1)
            estimated[minute] = self._traffic.devices
            awake[minute] = self._world.devices * share_awake(end)
        return Course(check_ins, estimated, awake, self._ended)

    def _due_by_step(self, start: float) -> list[Places]:
        """The minute's devices, those that are due in each of its steps."""
        last = round(PAGE_SECONDS / STEP_SECONDS)
        steps = np.clip(np.ceil((self._page.due - start) / STEP_SECONDS), 1, last).astype(np.uint8)
        order = np.argsort(steps, kind="stable")  # a radix sort, for numbers of a byte
        return np.split(order, np.searchsorted(steps[order], np.arange(1, last), side="right"))

    def _step(self, coming: Places, now: float) -> int:
        """Answer the devices that are due, move the rounds, and say how many checked in."""
        if self._world.is_down(now):
            self._put_off(coming, now, is_patient=self._world.is_patient)
            return 0
        is_awake = self._page.sleepiness[coming] < share_awake(now)
        self._sleep_on(coming[~is_awake], now)
        here = coming[is_awake]
        if len(here):
            self._traffic = pacing.counted(self._traffic, now - self._page.seen[here], now)
            self._page.seen[here] = now
            self._reject(self._select(here, now), now)
        self._move_rounds(now)
        return len(here)

    def _put_off(self, devices: Places, now: float, *, is_patient: bool) -> None:
        shares = self._random.random(len(devices), np.float32)
        self._page.due[devices] = now + (self._page.told[devices] * (0.5 + shares) if is_patient else 300 * shares)

    def _sleep_on(self, devices: Places, now: float) -> None:
        """Put off devices that are asleep; those that will be for many waits, at once to their first try after them."""
        self._put_off(devices, now, is_patient=True)
        lasts, told = seconds_asleep(self._page.sleepiness[devices], now), self._page.told[devices]
        is_long = lasts > MANY_WAITS * told
        draws = self._random.random((2, np.count_nonzero(is_long)), np.float32)
        self._page.due[devices[is_long]] = now + lasts[is_long] + told[is_long] * waits_left(draws)

    def _reject(self, devices: Places, now: float) -> None:
        needs = pacing.wanted((one.task.policy, one.task.reads) for one in self._open)
        draws = self._random.random(len(devices), np.float32)
        waits = pacing.retry_after_seconds(draws, now, self._traffic.devices, needs, self._limits)
        self._page.told[devices] = waits
        self._page.due[devices] = now + waits

    def _select(self, devices: Places, now: float) -> Places:
        """Give devices to the rounds that select, each in its turn; those that are left."""
        selecting = [one for one in self._open if one.progress.state is RoundState.SELECTION]
        claims = [
            Claim(one.progress.first_assigned_at, one.task.policy.priority, one.task.policy.cohort) for one in selecting
        ]
        draws = [float(draw) for draw in self._random.random(len(selecting))]
        for one in sharing.in_turn(list(zip(claims, selecting, strict=True)), draws):
            places = one.task.policy.cohort - one.progress.places_taken
            asked = devices[: _ASKED_A_PLACE * places]
            chosen = np.flatnonzero(self._may_select(one, asked))[:places]
            self._assign(one, devices[chosen], now)
            devices = np.delete(devices, chosen)
        return devices

    def _may_select(self, one: Round, devices: Places) -> NDArray[np.bool_]:
        policy = one.task.policy
        may, numbers = np.ones(len(devices), np.bool_), self._page.number[devices]
        if policy.evaluation_share:
            may &= selection.is_set_aside(self._own_draw[numbers], policy.evaluation_share) == one.task.reads
        if policy.minimum_rounds_between:
            last = self._last_round[one.task.name][numbers]
            may &= selection.has_rested(last, one.number, policy.minimum_rounds_between)
        return may

    def _assign(self, one: Round, devices: Places, now: float) -> None:
        if not len(devices):
            return
        works = now + WORK_SECONDS * np.exp(WORK_SPREAD * self._random.standard_normal(len(devices), np.float32))
        reports = self._random.random(len(devices)) >= DROP_OUT
        first = one.progress.first_assigned_at
        one.progress = replace(
            one.progress,
            assigned=one.progress.assigned + len(devices),
            first_assigned_at=now if first is None else first,
        )
        one.report_times = np.concatenate([one.report_times, works[reports].astype(np.float32)])
        self._page.due[devices] = works  # and then they check in again, whatever came of it
        if one.task.name in self._last_round:
            self._last_round[one.task.name][self._page.number[devices[reports]]] = one.number

    def _move_rounds(self, now: float) -> None:
        for place, one in enumerate(self._open):
            while (step := rounds.due_transition(one.counted(now), one.task.policy, now)) is not None:
                since = now if step.state is RoundState.REPORTING else one.progress.reporting_since
                one.progress = replace(one.progress, state=step.state, reporting_since=since)
                if step.state in (RoundState.AGGREGATION, RoundState.ABANDONED):
                    one.progress = replace(one.counted(now), state=step.state)
                    one.ended_at = now
                    break
            if one.ended_at is not None and now >= one.ended_at + AGGREGATION_SECONDS:
                self._ended.append(one)
                self._open[place] = Round(one.task, one.number + 1)
