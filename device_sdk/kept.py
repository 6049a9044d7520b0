"""What a device keeps between rounds: a file for each work of a task, or of a series of tasks. It never leaves.

A state is made together with an update, and belongs to it: it waits beside the journal (`end`) and takes the place of
the last one (`commit`) when the orchestrator has accepted the report. A device that loses power between the two sends
the same report again, gets the first answer, and commits then; one whose report is refused goes on from what it had.

    first line   who keeps it, as JSON
    the rest     the tensors, as safetensors
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from device_sdk import files
from device_sdk.errors import StateError
from device_sdk.state_dir import StateDir
from plans.bundle import digest
from plans.manifest import Manifest
from wire import codec, tensors
from wire.errors import MessageError, TensorFormatError
from wire.messages import Assignment
from wire.tensors import Array, Specs, Tensors

_log = logging.getLogger(__name__)

MOST_KEPT = 64
"""Of more states, those go that were committed first."""


@dataclass(frozen=True)
class Keeper:
    """Whose state it is, and since when.

    Attributes:
        series: the tasks that share it, as their plans say; None where it is the task's own.
        expires: when the statement of the plan that made it ends, in UTC seconds since 1970; then no device runs that
            plan any more, and the state goes.
    """

    task_id: str
    task_name: str
    series: str | None
    work: str
    round_number: int
    expires: int

    @property
    def file_name(self) -> str:
        """The same for what takes this state's place."""
        whose = f"task {self.task_id}" if self.series is None else f"series {self.series}"
        return digest(f"{whose}\n{self.work}".encode()) + ".state"


def keeper_of(assignment: Assignment, manifest: Manifest) -> Keeper:
    """Who keeps what the work of an assignment leaves."""
    return Keeper(
        assignment.task_id,
        assignment.task_name,
        manifest.series,
        assignment.work,
        assignment.round_number,
        assignment.plan.statement.expires,
    )


def encode(keeper: Keeper, state: Tensors) -> bytes:
    """The file of a state."""
    return codec.dumps(keeper) + b"\n" + tensors.encode(state)


class KeptStates:
    """The states of one state directory; its methods return when the disk has what they say."""

    def __init__(self, state: StateDir) -> None:
        self._folder = state.kept
        self._next = state.kept_next

    def read(self, keeper: Keeper, specs: Specs) -> dict[str, Array] | None:
        """What was kept for this work, or None: nothing yet, or something else than the plan now keeps."""
        path = self._folder / keeper.file_name
        try:
            return tensors.decode_as(specs, path.read_bytes().partition(b"\n")[2])
        except FileNotFoundError:
            return None
        except TensorFormatError as error:
            _log.warning("what was kept for task %s (%s) begins anew: %s", keeper.task_name, keeper.work, error)
            return None

    def commit(self, sha256: str | None) -> None:
        """Let the state that waits take the place of the last one, if it is the one with this digest.

        Raises:
            StateError: the disk did not take it.
        """
        if sha256 is None or not self._next.exists():  # committed already, or forgotten
            return
        data = self._next.read_bytes()
        if digest(data) != sha256:
            _log.warning("the state that waits is not that of the report; what was kept before stays")
            return
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            files.publish(self._next, self._folder / _keeper(data).file_name)
        except OSError as error:
            raise StateError(f"cannot write {self._folder}: {error.strerror}") from error

    def prune(self, now: float) -> None:
        """Drop what belongs to plans that have expired, and what is more than a device keeps."""
        found = sorted(self._paths(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for place, path in enumerate(found):
            keeper = _read_keeper(path)
            if keeper is None or keeper.expires <= now or place >= MOST_KEPT:
                path.unlink()

    def list(self) -> Iterator[tuple[Keeper, int]]:
        """Every state: whose it is, and how many bytes its file has."""
        for path in sorted(self._paths()):
            keeper = _read_keeper(path)
            if keeper is not None:
                yield keeper, path.stat().st_size

    def wipe(self) -> int:
        """Forget everything, also what waits; gives how many states there were."""
        found = list(self._paths())
        for path in [*found, self._next]:
            path.unlink(missing_ok=True)
        return len(found)

    def _paths(self) -> Iterator[Path]:
        return self._folder.glob("*.state")


def _read_keeper(path: Path) -> Keeper | None:
    with path.open("rb") as file:
        try:
            return _keeper(file.readline())
        except MessageError as error:
            _log.warning("%s cannot be read: %s", path, error)
            return None


def _keeper(data: bytes) -> Keeper:
    return codec.loads(Keeper, data.partition(b"\n")[0])
