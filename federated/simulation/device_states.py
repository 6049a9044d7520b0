"""What the clients of a simulation keep between rounds: a file for each, so that memory holds one at a time.

A client's newest state counts. The one before is spared until a checkpoint has been written, because a run that is
taken up again goes on from the round of its checkpoint: `rewind` drops what came later, and every client is as it was.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

from federated.language.kept import State, known_clients
from federated.simulation.errors import CheckpointError
from wire import tensors
from wire.errors import TensorFormatError

_SUFFIX = ".safetensors"


class DeviceStates:
    """The states of many clients, by id.

    Args:
        folder: where they are, also for another process later on; None for a folder that goes with this object.

    Example:
        >>> states = fed.simulation.DeviceStates()
        >>> with states.of(["anna", "ben"]):
        ...     state, metrics = process.next(state, [annas_batches, bens_batches])
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fedelta-states-") if folder is None else folder)
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._round = self._saved_round = 0
        self._rounds: dict[str, list[int]] = {}
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            name, _, number = path.name.removesuffix(_SUFFIX).partition("-")
            self._rounds.setdefault(name, []).append(int(number))

    def of(self, client_ids: Sequence[str]) -> AbstractContextManager[Any]:
        """Run computations over these clients, in the order of the values that they are given for them."""
        return known_clients(self, client_ids)

    def read(self, computation: str, client_id: str) -> State | None:
        """What a client keeps of a computation; None for nothing yet."""
        name = _name(computation, client_id)
        rounds = self._rounds.get(name)
        if not rounds:
            return None
        path = self._path(name, max(rounds))
        try:
            return tensors.decode(path.read_bytes())
        except (OSError, TensorFormatError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}", fix="begin in another directory") from error

    def write(self, computation: str, client_id: str, state: State) -> None:
        """Let a client keep this from now on."""
        name = _name(computation, client_id)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name, self._round)
        whole = path.with_suffix(".part")
        whole.write_bytes(tensors.encode(state))
        whole.replace(path)
        rounds = {*self._rounds.get(name, ()), self._round}
        saved = max((number for number in rounds if number <= self._saved_round), default=None)
        for number in rounds - {saved, self._round}:
            self._path(name, number).unlink()
            rounds = rounds - {number}
        self._rounds[name] = sorted(rounds)

    def begin_round(self, number: int) -> None:
        """What is written from now on belongs to this round."""
        self._round = number

    def flush(self) -> None:
        """Have everything on the disk: a checkpoint is about to say that it is there."""
        if self._rounds:
            os.sync()

    def saved(self, number: int) -> None:
        """A checkpoint of this round is on the disk."""
        self._saved_round = number

    def rewind(self, number: int) -> None:
        """Go back to a checkpoint of this round."""
        self._round = self._saved_round = number
        for name, rounds in self._rounds.items():
            for later in [one for one in rounds if one > number]:
                self._path(name, later).unlink()
                rounds.remove(later)

    def _path(self, name: str, number: int) -> Path:
        return self._folder / f"{name}-{number}{_SUFFIX}"


def _name(computation: str, client_id: str) -> str:
    return sha256(f"{computation}\n{client_id}".encode()).hexdigest()[:32]
