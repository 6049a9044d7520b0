"""Runs one work of a plan on local examples.

Two kinds of failure, kept apart because the orchestrator acts on them differently: `DeclinedError` before the first
example is read (this device cannot do this work), `TrainingError` after. Neither message holds a value from an
example; the runtime's own words, which might, go to the local log.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from device_sdk.errors import DeclinedError, ExamplesError, TrainingError
from device_sdk.examples import Collection, ExampleStore
from device_sdk.kept import KeptStates, encode, keeper_of
from plans import bundle, client, contract
from plans.accumulators.contributions import not_finite
from plans.client import ClientResult
from plans.errors import PlanError, ProgramError, UnfitExamplesError
from plans.finiteness import is_finite
from plans.manifest import Manifest, Pass, Role, Work, check_supported
from plans.program import Program
from wire import tensors
from wire.errors import TensorFormatError
from wire.messages import Assignment
from wire.tensors import Array, TensorSpec

_log = logging.getLogger(__name__)

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Trained:
    """What a work gave: the update's bytes, empty where the work has none, and its metrics.

    Attributes:
        kept: the file of what the device is to keep until its next round, empty where the work keeps nothing.
    """

    update: bytes
    kept: bytes
    metrics: dict[str, float]
    examples: int
    steps: int


def train(
    assignment: Assignment, plan: bytes, broadcast: bytes, store: ExampleStore, kept: KeptStates, on_step: OnStep
) -> Trained:
    """Do the work of an assignment whose plan is trusted.

    Args:
        plan, broadcast: the bytes of the assignment's two resources.
        kept: has what the work kept the last time.
        on_step: called after every batch with the batches done and in all; what it raises ends the run.

    Raises:
        DeclinedError: the plan or a collection is not for this device.
        TrainingError: the run failed, or gave something that is not finite.
    """
    program, manifest, work = _load(plan, assignment.work)
    examples = {one.selector.collection: _collection(store, one) for one in work.passes}
    model = _decode(work, broadcast)
    keeper = keeper_of(assignment, manifest)
    before = kept.read(keeper, work.device_state_specs) if work.device_state else None
    try:
        result = client.run(program, work, model, examples, seed=assignment.seed, device_state=before, on_step=on_step)
    except UnfitExamplesError as error:
        raise TrainingError(str(error)) from error
    except ProgramError as error:
        _log.error("the work %s failed: %s", assignment.work, error)
        raise TrainingError(f"the work {assignment.work!r} failed in the runtime; the device's log says how") from error
    _refuse_not_finite(work, result)
    update = tensors.encode(result.update) if work.update else b""
    after = encode(keeper, result.device_state) if work.device_state else b""
    return Trained(update, after, result.metrics, result.examples, result.steps)


def _load(plan: bytes, name: str) -> tuple[Program, Manifest, Work]:
    try:
        unpacked = bundle.unpack(plan)
        check_supported(unpacked.manifest)
        program = Program(unpacked.client)
        contract.check_client(program, unpacked.manifest)
        return program, unpacked.manifest, unpacked.manifest.work(name)
    except PlanError as error:
        raise DeclinedError(str(error)) from error


def _collection(store: ExampleStore, one: Pass) -> Collection:
    """The collection that a pass selects from, if its examples are what the pass takes."""
    selector = one.selector
    try:
        collection = store.collection(selector.collection)
    except ExamplesError as error:
        raise DeclinedError(f"no examples: there is no collection {selector.collection!r}") from error
    if not len(collection):
        raise DeclinedError(f"no examples: the collection {selector.collection!r} is empty")
    for name, field in selector.inputs.items():
        found, wanted = collection.fields.get(field), one.inputs[name]
        if found is None or found.shape != wanted.spec.shape or not _converts(found, wanted.at_runtime):
            raise DeclinedError(
                f"wrong fields: the plan needs {field}={wanted.spec} in {selector.collection!r}, which has "
                f"{'no such field' if found is None else found}"
            )
    return collection


def _converts(found: TensorSpec, wanted: TensorSpec) -> bool:
    """Whether a program takes such values: of the same dtype, or both integers (then each value must fit)."""
    both_integers = np.dtype(found.dtype).kind in "iu" and np.dtype(wanted.dtype).kind in "iu"
    return found.dtype == wanted.dtype or both_integers


def _decode(work: Work, broadcast: bytes) -> dict[str, Array]:
    try:
        return tensors.decode_as(work.broadcast_specs, broadcast)
    except TensorFormatError as error:
        raise TrainingError(f"the broadcast is not what the plan says: {error}") from error


def _refuse_not_finite(work: Work, result: ClientResult) -> None:
    hint = "; a smaller learning rate may help" if work.role is Role.TRAIN else ""
    others = result.device_state | {name: np.asarray(value, np.float32) for name, value in result.metrics.items()}
    infinite = (name for name, values in others.items() if values.dtype.kind == "f" and not is_finite(values))
    if (name := not_finite(work, result.update) or next(infinite, None)) is not None:
        raise TrainingError(f"{name} is not finite after the work{hint}")
