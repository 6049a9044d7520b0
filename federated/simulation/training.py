"""The training loop: rounds of a learning process over cohorts of clients, on this machine.

Everything random in a round comes from the seed and the round's number, so a run that was interrupted goes on from its
last checkpoint with the very numbers that it would have had.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from federated.contexts import refusals
from federated.contexts.entering import plan_context
from federated.language import context_stack
from federated.language.errors import ExecutionError
from federated.learning.process import LearningProcess, LearningProcessOutput
from federated.simulation import checkpoints, sampling
from federated.simulation.availability import Availability, always
from federated.simulation.datasets.client_data import ClientData, Cohort
from federated.simulation.device_states import DeviceStates
from federated.simulation.errors import SimulationError
from federated.simulation.evaluation import Evaluate
from federated.simulation.outputs import Output, table
from federated.simulation.results import ABANDONED, COMPLETED, RoundResult, TrainingResult

TABLE = "rounds.csv"
KEPT = "device_states"


@dataclass(frozen=True)
class _Plan:
    """How rounds are held; see `train`."""

    process: LearningProcess
    data: ClientData
    clients_per_round: int
    batch_size: int
    epochs: int
    max_examples: int | None
    availability: Availability
    dropout: float
    seed: int
    states: DeviceStates


def train(
    process: LearningProcess,
    data: ClientData,
    *,
    rounds: int,
    clients_per_round: int,
    batch_size: int = 20,
    epochs: int = 1,
    max_examples: int | None = None,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    evaluate_every: int = 1,
    availability: Availability = always,
    dropout: float = 0.0,
    initial_state: Any = None,
    directory: str | Path | None = None,
    outputs: Sequence[Output] = (),
    checkpoint_every: int = 10,
    show_progress: bool = True,
) -> TrainingResult:
    """Hold rounds, in the context that was entered, or as plans on all cores where none was.

    A round is `abandoned`, and changes nothing, where no client is there, or none has examples, or no update could be
    summed. An update that is not finite is left out and counted.

    Args:
        batch_size, epochs, max_examples: how a client goes through its examples; see `ClientData.batches`.
        evaluate: measures a state after every `evaluate_every` rounds and after the last.
        availability: who is there in which round.
        dropout: how likely a client is to be lost before it reports.
        initial_state: what to start from; None for the process's own first state.
        directory: where the checkpoint, the table `rounds.csv` and what clients keep between rounds go, and from which
            a run is taken up again.
        outputs: what else becomes of the rounds; see `federated.simulation.outputs`.
        checkpoint_every: after how many rounds the checkpoint and the outputs are written; after the last one they
            always are.

    Raises:
        SimulationError: an argument that no round can be held with.
        CheckpointError: the directory holds another run, or a damaged one.
        ValueMismatchError: a client's examples do not fit the model, or a label is out of range.
    """
    if rounds < 0 or clients_per_round < 1 or evaluate_every < 1 or checkpoint_every < 1 or not 0 <= dropout <= 1:
        raise SimulationError(
            f"rounds {rounds}, clients_per_round {clients_per_round}, evaluate_every {evaluate_every}, "
            f"checkpoint_every {checkpoint_every} and dropout {dropout}: "
            "counts are at least 1 and dropout lies within 0 and 1"
        )
    if not len(data):
        raise SimulationError("there are no clients", fix="give data of at least one")
    folder = None if directory is None else Path(directory)
    states = DeviceStates(None if folder is None else folder / KEPT)
    plan = _Plan(
        process, data, clients_per_round, batch_size, epochs, max_examples, availability, dropout, seed, states
    )
    with entered():
        state = process.initialize() if initial_state is None else initial_state
        settings = _settings(plan)
        done: list[RoundResult] = []
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            state, done = checkpoints.load(folder, state, settings) or (state, done)
            states.rewind(len(done))
            outputs = [table(folder / TABLE), *outputs]
        with tqdm(total=rounds, initial=len(done), unit="round", disable=not show_progress) as bar:
            while len(done) < rounds:
                number = len(done) + 1
                states.begin_round(number)
                is_measured = number % evaluate_every == 0 or number == rounds
                state, result = _round(plan, state, number, evaluate if is_measured else None)
                done.append(result)
                if number % checkpoint_every == 0 or number == rounds:
                    if folder is not None:
                        states.flush()
                        checkpoints.save(folder, state, done, settings)
                        states.saved(number)
                    for output in outputs:
                        output(done)
                bar.set_postfix(_shown(result))
                bar.update()
    return TrainingResult(state, tuple(done))


def _round(plan: _Plan, state: Any, number: int, evaluate: Evaluate | None) -> tuple[Any, RoundResult]:
    started = time.perf_counter()
    there = plan.availability(number, plan.data.client_ids)
    chosen = sampling.cohort(there, plan.clients_per_round, plan.seed, number)
    lost = sampling.dropped(len(chosen), plan.dropout, plan.seed, number)
    reporting = [name for name, is_lost in zip(chosen, lost, strict=True) if not is_lost]
    result = RoundResult(number, ABANDONED, len(chosen), dropped=sum(lost))
    if not reporting:
        result = replace(result, reason="every client dropped out" if chosen else "no client was there")
    else:
        state, result = _trained(plan, state, _cohort(plan, reporting, number), result)
    evaluation = {} if evaluate is None else {name: float(value) for name, value in evaluate(state).items()}
    return state, replace(result, evaluation=evaluation, seconds=time.perf_counter() - started)


def _trained(plan: _Plan, state: Any, cohort: Cohort, result: RoundResult) -> tuple[Any, RoundResult]:
    """The state after a round over these clients, unless it is abandoned."""
    counting = _CountingCohort(cohort)
    after: LearningProcessOutput | None = None
    with refusals.counted() as refused, plan.states.of(cohort.client_ids):
        try:
            after = plan.process.next(state, counting)
        except ExecutionError:
            if len(refused) + counting.empty < len(cohort):
                raise
    reason = f"client {cohort.client_ids[refused[0].client]!r}: {refused[0].reason}" if refused else ""
    result = replace(result, empty=counting.empty, refused=len(refused), reason=reason)
    if after is None or len(refused) + counting.empty == len(cohort):
        return state, replace(result, reason=reason or "no client had examples")
    if not checkpoints.is_finite(after.state):
        return state, replace(result, reason="the new state is not finite")
    train = {name: float(value) for name, value in after.metrics["client_work"]["train"].items()}
    return after.state, replace(result, outcome=COMPLETED, metrics=train)


class _CountingCohort:
    """A cohort that counts the clients without examples while it is read."""

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self.batch_size = cohort.batch_size
        self.client_ids = cohort.client_ids
        self.empty = 0

    def __len__(self) -> int:
        return len(self._cohort)

    def __iter__(self) -> Any:
        self.empty = 0
        for client in self._cohort:
            self.empty += not len(client.y)
            yield client


def _cohort(plan: _Plan, names: Sequence[str], number: int) -> Cohort:
    seed = sampling.order_seed(plan.seed, number)
    return plan.data.cohort(names, plan.batch_size, seed=seed, epochs=plan.epochs, max_examples=plan.max_examples)


def entered() -> AbstractContextManager[Any]:
    """The context that was entered, or else one of plans."""
    return nullcontext() if context_stack.frames() else plan_context()


def _settings(plan: _Plan) -> dict[str, Any]:
    """What a run that is taken up again must have in common with the one before."""
    names = ("clients_per_round", "batch_size", "epochs", "max_examples", "dropout", "seed")
    return {**{name: getattr(plan, name) for name in names}, "clients": len(plan.data)}


def _shown(result: RoundResult) -> dict[str, str]:
    if result.outcome != COMPLETED:
        return {"abandoned": result.reason}
    values = {**result.metrics, **result.evaluation}
    return {name: f"{value:.4g}" for name, value in values.items() if not name.startswith("num_")}
