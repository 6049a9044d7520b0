"""A run on disk, so that it can be taken up again exactly where it was.

One file holds the state's arrays, bit for bit, and beside them the rounds and what the run was asked for; it is
written whole and then put in the place of the last one, so that a power cut leaves one of the two.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from federated.simulation.errors import CheckpointError
from federated.simulation.results import RoundResult
from wire import tensors
from wire.tensors import Array

FILE = "checkpoint.safetensors"
_RECORD = "record"


def save(directory: Path, state: Any, rounds: Sequence[RoundResult], settings: Mapping[str, Any]) -> None:
    """Write a checkpoint after the last of these rounds."""
    record = json.dumps({"settings": dict(settings), "rounds": [asdict(one) for one in rounds]})
    arrays = {f"state_{place}": np.asarray(leaf) for place, leaf in enumerate(_leaves(state))}
    arrays[_RECORD] = np.frombuffer(record.encode(), np.uint8)
    whole = directory / (FILE + ".part")
    with whole.open("wb") as file:
        file.write(tensors.encode(arrays))
        file.flush()
        os.fsync(file.fileno())
    os.replace(whole, directory / FILE)


def load(directory: Path, first: Any, settings: Mapping[str, Any]) -> tuple[Any, list[RoundResult]] | None:
    """The state and the rounds of a checkpoint; None where there is none.

    Args:
        first: the process's first state, which the saved one has the form of.
        settings: what this run was asked for; the saved one must have been asked for the same.

    Raises:
        CheckpointError: the file is damaged, or of another run.
    """
    path = directory / FILE
    if not path.exists():
        return None
    try:
        arrays = tensors.decode(path.read_bytes())
        record = json.loads(arrays.pop(_RECORD).tobytes())
        rounds = [RoundResult(**one) for one in record["rounds"]]
    except Exception as error:  # whatever a damaged file makes of the reader
        raise CheckpointError(f"{path} cannot be read: {error}", fix="delete it to begin anew") from error
    for name, value in settings.items():
        if record["settings"].get(name) != value:
            raise CheckpointError(
                f"{path} is of a run with {name} {record['settings'].get(name)!r}, not {value!r}",
                fix="take another directory, or delete the checkpoint to begin anew",
            )
    expected = list(_leaves(first))
    saved = [arrays.get(f"state_{place}") for place in range(len(expected))]
    for place, (old, new) in enumerate(zip(saved, expected, strict=True)):
        if old is None or old.shape != np.shape(new) or len(arrays) != len(expected):
            raise CheckpointError(f"{path} is of another model or algorithm: tensor {place} of its state differs")
    return _filled(first, iter([array for array in saved if array is not None])), rounds


def _leaves(value: Any) -> Iterator[Any]:
    for part in _parts(value):
        yield from _leaves(part)
    if not _is_structure(value):
        yield value


def _filled(value: Any, leaves: Iterator[Array]) -> Any:
    """A structure with other leaves."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _filled(getattr(value, one.name), leaves) for one in fields(value)})
    if isinstance(value, Mapping):
        return type(value)((name, _filled(part, leaves)) for name, part in value.items())  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_filled(part, leaves) for part in value])
    if isinstance(value, list | tuple):
        return type(value)([_filled(part, leaves) for part in value])
    leaf = next(leaves)
    return leaf.dtype.type(leaf[()]) if isinstance(value, np.generic) else leaf


def _parts(value: Any) -> list[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, one.name) for one in fields(value)]
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _is_structure(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) or (is_dataclass(value) and not isinstance(value, type))


def is_finite(state: Any) -> bool:
    """Whether every number of a state is."""
    arrays = [np.asarray(leaf) for leaf in _leaves(state)]
    return all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f")
