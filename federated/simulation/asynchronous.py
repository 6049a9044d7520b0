"""Asynchronous training on a virtual clock: clients begin and end one by one, and the server never waits for all.

So many clients are at work at any time. One that ends hands in its update, which is as stale as the steps that the
server has taken since it began; another takes its place at once, from the model of that moment. Which client begins,
and how long it takes, comes from the seed and the client's number in the run, so that a run is the same every time.
The clock costs nothing: a client's work is computed when its end has come.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from federated.contexts import refusals
from federated.learning.batches import ExampleBatches
from federated.simulation import sampling
from federated.simulation.datasets.client_data import ClientData
from federated.simulation.errors import SimulationError
from federated.simulation.evaluation import Evaluate
from federated.simulation.results import COMPLETED, RoundResult, TrainingResult
from federated.simulation.training import entered

if TYPE_CHECKING:
    from federated.learning.algorithms.fed_buff import AsynchronousProcess

Delay = Callable[[str, np.random.Generator], float]
"""How many seconds of the virtual clock a client takes, from its name and random numbers of its own."""


def half_normal(client_id: str, random: np.random.Generator) -> float:
    """|z| of a standard normal z: the durations of the FedBuff paper's simulations."""
    return float(abs(random.normal()))


@dataclass(order=True)
class _Working:
    """A client at work: when it ends, and the state, of so many server steps, that it began with."""

    ends: float
    number: int
    client_id: str = field(compare=False)
    step: int = field(compare=False)
    state: Any = field(compare=False)


@dataclass
class _Buffer:
    """What clients have handed in since the last step."""

    updates: list[tuple[Any, int]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    empty: int = 0
    refused: int = 0
    reason: str = ""


def train_asynchronously(
    process: "AsynchronousProcess",
    data: ClientData,
    *,
    server_steps: int,
    concurrency: int,
    batch_size: int = 20,
    epochs: int = 1,
    max_examples: int | None = None,
    seed: int = 0,
    delay: Delay = half_normal,
    evaluate: Evaluate | None = None,
    evaluate_every: int = 1,
    show_progress: bool = True,
) -> TrainingResult:
    """Train until the server has taken so many steps, in the context that was entered, or as plans where none was.

    Each of the result's rounds is a server step. Its metrics are the means over the clients of the buffer, and
    `staleness` and `virtual_seconds`, the clock at the step; a client without examples, or whose update is not finite,
    is counted and takes no place in the buffer.

    Args:
        concurrency: how many clients are at work at any time.
        batch_size, epochs, max_examples: how a client goes through its examples; see `ClientData.batches`.
        delay: how long a client takes.
        evaluate: measures a state after every `evaluate_every` steps and after the last.

    Raises:
        SimulationError: an argument that no run can be held with, or no client that can hand anything in.
    """
    if server_steps < 0 or evaluate_every < 1 or not 1 <= concurrency <= len(data):
        raise SimulationError(
            f"server_steps {server_steps}, evaluate_every {evaluate_every} and concurrency {concurrency}: "
            f"steps are 0 or more, evaluate_every is 1 or more, concurrency within 1 and the {len(data)} clients"
        )
    with entered(), tqdm(total=server_steps, unit="step", disable=not show_progress) as bar:
        run = _Run(
            process, data, seed, delay, {"batch_size": batch_size, "epochs": epochs, "max_examples": max_examples}
        )
        for _ in range(concurrency):
            run.begin(now=0.0)
        rounds: list[RoundResult] = []
        while len(rounds) < server_steps:
            result = run.step()
            number = result.round_number
            if evaluate is not None and (number % evaluate_every == 0 or number == server_steps):
                measured = {name: float(value) for name, value in evaluate(run.state).items()}
                result = replace(result, evaluation=measured)
            rounds.append(result)
            bar.update()
    return TrainingResult(run.state, tuple(rounds))


class _Run:
    """The clock, the server's state, and the clients at work."""

    def __init__(
        self, process: "AsynchronousProcess", data: ClientData, seed: int, delay: Delay, options: dict[str, Any]
    ) -> None:
        self.state = process.initialize()
        self._process, self._data, self._seed, self._delay, self._options = process, data, seed, delay, options
        self._begun = self._steps = 0
        self._working: list[_Working] = []

    def begin(self, now: float) -> None:
        """Let an idle client begin."""
        self._begun += 1
        busy = {one.client_id for one in self._working}
        idle = [name for name in self._data.client_ids if name not in busy]
        name = sampling.next_client(idle, self._seed, self._begun)
        seconds = self._delay(name, sampling.delay_random(self._seed, self._begun))
        if not seconds >= 0:
            raise SimulationError(f"the client {name!r} takes {seconds} seconds; a delay is 0 or more")
        heapq.heappush(self._working, _Working(now + seconds, self._begun, name, self._steps, self.state))

    def step(self) -> RoundResult:
        """Let clients end until the buffer is full, and take the server's step."""
        started, buffer, now = time.perf_counter(), _Buffer(), 0.0
        size, patience = self._process.buffer_size, self._process.buffer_size + len(self._data)
        while len(buffer.updates) < size:
            one = heapq.heappop(self._working)
            now = one.ends
            self._end(one, buffer)
            if buffer.empty + buffer.refused > patience and not buffer.updates:
                raise SimulationError(f"no client hands anything in{': ' if buffer.reason else ''}{buffer.reason}")
            if len(buffer.updates) == size:
                self.state = self._process.take(self.state, buffer.updates)
                self._steps += 1
            self.begin(now)
        means = {name: float(np.mean([one[name] for one in buffer.metrics])) for name in buffer.metrics[0]}
        staleness = float(np.mean([stale for _, stale in buffer.updates]))
        return RoundResult(
            self._steps,
            COMPLETED,
            size + buffer.empty + buffer.refused,
            empty=buffer.empty,
            refused=buffer.refused,
            seconds=time.perf_counter() - started,
            metrics={**means, "staleness": staleness, "virtual_seconds": now},
            reason=buffer.reason,
        )

    def _end(self, one: _Working, buffer: _Buffer) -> None:
        """Compute what a client has done, and put it into the buffer."""
        order = sampling.order_seed(self._seed, one.number)
        batches: ExampleBatches = self._data.batches(one.client_id, seed=order, **self._options)
        if not len(batches.y):
            buffer.empty += 1
            return
        with refusals.counted() as refused:
            done = self._process.train(one.state, batches)
        if refused:
            buffer.refused += 1
            buffer.reason = f"client {one.client_id!r}: {refused[0].reason}"
            return
        buffer.updates.append((done.update, self._steps - one.step))
        buffer.metrics.append({name: float(value) for name, value in done.metrics.items()})
