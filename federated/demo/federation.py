"""The demo itself: deal the data, start everybody, push two tasks, watch them, and say what came of it."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from federated.demo.processes import DEVICE, FEDELTA, DemoProcessError, Processes, Server, stop
from federated.demo.shards import Shard
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest, RoundPolicy, RoundView, TaskRequest, TaskView

_CHECK_IN_SECONDS = 0.5
_WATCH_SECONDS = 0.2
_DEADLINE_SECONDS = 60.0
_BATCH_SIZE, _EPOCHS, _LEARNING_RATE = 16, 4, 0.1
_BAR = "{desc}: {n_fmt}/{total_fmt} |{bar:30}| {elapsed}{postfix}"
_SPLIT, _TRAIN, _HELD_OUT = "split", "train", "held_out"


@dataclass(frozen=True)
class Outcome:
    """What a demo came to.

    Attributes:
        rounds: every round with its accuracy on the held-out devices, None where nobody evaluated it.
        seconds: from the first process to the last round.
    """

    rounds: list[tuple[RoundView, dict[str, float] | None]]
    seconds: float
    server: Server
    database: Path
    checkpoint: Path

    @property
    def held_out_accuracy(self) -> float | None:
        """The accuracy of the last checkpoint on devices that took no part in training."""
        evaluated = [metrics for _, metrics in self.rounds if metrics is not None]
        return evaluated[-1]["accuracy"] if evaluated else None


def held_out_count(devices: int) -> int:
    """How many of so many devices only evaluate: a quarter, and at least one."""
    return max(1, devices // 4)


def hold(shards: Sequence[Shard], rounds: int, keep: bool, on_ready: Callable[[Outcome], None]) -> None:
    """Run a federation of one device a shard, and hand over its outcome while the server still runs.

    The last quarter of the devices is never selected for training: they evaluate every checkpoint.

    Raises:
        DemoProcessError: a process failed.
    """
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fedelta-demo-"))
    with Processes(folder / "logs") as processes:
        with _bar(1, "starting the orchestrator") as bar:
            server = processes.start_server(folder / "server", _CHECK_IN_SECONDS)
            bar.update()
        client = OperatorClient(server.url, server.api_key)
        plan = _prepare(processes, folder, server, client, shards)
        training, evaluation = _push(client, plan, len(shards), rounds)
        devices = [processes.start(name, *DEVICE, "run", "--state-dir", str(folder / name)) for name in _names(shards)]
        try:
            _watch(client, training, evaluation, server)
        finally:
            for device in devices:
                stop(device)
        on_ready(_outcome(client, folder, server, training, evaluation, time.monotonic() - started))
        if keep:
            processes.keep()


def _names(shards: Sequence[Shard]) -> list[str]:
    return [f"device-{number:02d}" for number in range(1, len(shards) + 1)]


def _prepare(
    processes: Processes, folder: Path, server: Server, client: OperatorClient, shards: Sequence[Shard]
) -> bytes:
    """Export the model and enrol the devices, side by side; the plan's bytes."""
    height, width = shards[0].x.shape[1:3]
    classes = 1 + max(int(shard.y.max()) for shard in shards)
    model, plan = folder / "digits.keras", folder / "digits.plan"
    making = processes.start(
        "model", "-m", "federated.backends.digits_model", str(model), str(height), str(width), str(classes)
    )
    token = client.mint_token(EnrolmentTokenRequest(uses=len(shards))).token
    training = len(shards) - held_out_count(len(shards))
    with _bar(len(shards) + 2, "enrolling devices, exporting the model") as bar:
        processes.finish("model", making)
        bar.update()
        exporting = processes.start("export", *FEDELTA, "export", str(model), "--out", str(plan), *_settings())
        for index, (name, shard) in enumerate(zip(_names(shards), shards, strict=True)):
            _enrol(processes, folder, server, token, name, shard, _TRAIN if index < training else _HELD_OUT)
            bar.update()
        processes.finish("export", exporting)
        bar.update()
    return plan.read_bytes()


def _settings() -> list[str]:
    return [
        *("--name", "digits", "--loss", "sparse_categorical_crossentropy", "--metric", "accuracy"),
        *("--batch-size", str(_BATCH_SIZE), "--epochs", str(_EPOCHS), "--learning-rate", str(_LEARNING_RATE)),
    ]


def _enrol(processes: Processes, folder: Path, server: Server, token: str, name: str, shard: Shard, split: str) -> None:
    state_dir, data = str(folder / name), folder / f"{name}.npz"
    np.savez(data, x=shard.x, y=shard.y)
    enrol = ("enrol", "--url", server.url, "--token", token, "--attribute", f"{_SPLIT}={split}")
    imported = ("data", "import", str(data), "--collection", "default")
    for arguments in (enrol, imported):
        processes.finish(name, processes.start(name, *DEVICE, *arguments, "--state-dir", state_dir))
    data.unlink()  # from here on only the device has its examples


def _push(client: OperatorClient, plan: bytes, devices: int, rounds: int) -> tuple[TaskView, TaskView]:
    held_out = held_out_count(devices)
    training = client.push(TaskRequest("digits", policy=_policy(rounds, devices - held_out, _TRAIN)), plan=plan)
    policy = _policy(rounds, held_out, _HELD_OUT)
    return training, client.push(TaskRequest("digits-held-out", reads=training.task_id, policy=policy))


def _policy(rounds: int, cohort: int, split: str) -> RoundPolicy:
    return RoundPolicy(
        rounds=rounds,
        cohort=cohort,
        minimum_reports=max(1, cohort // 2),
        selection_deadline_seconds=_DEADLINE_SECONDS,
        reporting_deadline_seconds=_DEADLINE_SECONDS,
        attributes={_SPLIT: split},
    )


def _watch(client: OperatorClient, training: TaskView, evaluation: TaskView, server: Server) -> None:
    """Show the rounds as they are completed, until both tasks have ended."""
    with _bar(training.policy.rounds, "rounds") as bar:
        while True:
            if server.process.poll() is not None:
                raise DemoProcessError(f"the orchestrator ended with status {server.process.returncode}")
            tasks = [client.task(task.task_id) for task in (training, evaluation)]
            bar.update(tasks[0].rounds_completed - bar.n)
            evaluated = [round_ for round_ in client.rounds(evaluation.task_id) if round_.state == "completed"]
            if evaluated:
                bar.set_postfix_str(f"held-out accuracy {evaluated[-1].metrics['accuracy']:.3f}", refresh=False)
            for task in tasks:
                if task.state == "failed":
                    raise DemoProcessError(f"the task {task.name} failed: {task.failure}")
            if all(task.state != "running" for task in tasks):
                return
            time.sleep(_WATCH_SECONDS)


def _outcome(
    client: OperatorClient, folder: Path, server: Server, training: TaskView, evaluation: TaskView, seconds: float
) -> Outcome:
    evaluated = {
        round_.reads_round: round_.metrics
        for round_ in client.rounds(evaluation.task_id)
        if round_.state == "completed"
    }
    rounds = [(round_, evaluated.get(round_.round_number)) for round_ in client.rounds(training.task_id)]
    last = client.checkpoints(training.task_id)[-1]
    checkpoint = folder / "server" / "store" / "blobs" / last.sha256[:2] / last.sha256
    return Outcome(rounds, seconds, server, folder / "server" / "fedelta.db", checkpoint)


def _bar(total: int, what: str) -> "tqdm[None]":
    # Into a log file a line now and then, on a terminal a bar that moves.
    often = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(total=total, desc=what, mininterval=often, file=sys.stderr, bar_format=_BAR)
