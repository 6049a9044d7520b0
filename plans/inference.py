"""A model to predict with: a plan's client program and the values to give it, as one file that needs no Keras.

    model.json            which signatures: `begin` takes the values, `infer` predicts; and where it comes from
    model.tflite          the plan's `client.tflite`
    values.safetensors    what `begin` takes: the broadcast that the plan's `prepare` makes of a checkpoint

A plan's program holds its parameters in variables, which a signature assigns; so a program and its values stay two
members of one deterministic zip, and nothing is converted again. The zip is named by its SHA-256.
"""

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from plans import bundle, server
from plans.bundle import Plan
from plans.errors import InvalidPlanError, ProgramError
from plans.manifest import Work
from plans.program import FLAG, Program, bind
from wire import codec, tensors
from wire.errors import MessageError, TensorFormatError
from wire.tensors import Array, Tensors

RECORD, PROGRAM, VALUES = "model.json", "model.tflite", "values.safetensors"
_MEMBERS = (RECORD, PROGRAM, VALUES)
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class ModelRecord:
    """What a model file says of itself.

    Attributes:
        begin, infer: signatures of the program; `begin` is called once, with the values.
        plan_sha256, checkpoint_sha256: what it was made of.
    """

    format_version: int
    name: str
    begin: str
    infer: str
    plan_sha256: str
    checkpoint_sha256: str


def model_of(plan: Plan, plan_sha256: str, checkpoint: bytes) -> bytes:
    """The model file of a plan and one of its checkpoints (safetensors).

    Raises:
        PlanError: the plan cannot predict, or the checkpoint is not one of its states.
    """
    if plan.manifest.infer is None:
        raise ProgramError(f"the plan {plan.manifest.name!r} names no signature that predicts")
    work = _work_that_begins_alone(plan)
    try:
        state = tensors.decode_as(plan.manifest.state_specs, checkpoint)
    except TensorFormatError as error:
        raise InvalidPlanError(f"the checkpoint is not a state of the plan: {error}") from None
    broadcast = server.prepare(Program(plan.server), plan.manifest, work, state).broadcast
    values = {name: bind(port, broadcast[name]) for name, port in work.broadcast.items()}
    record = ModelRecord(
        _FORMAT_VERSION, plan.manifest.name, work.begin, plan.manifest.infer, plan_sha256, bundle.digest(checkpoint)
    )
    return bundle.zipped(
        {RECORD: codec.dumps(record), PROGRAM: plan.client, VALUES: tensors.encode(values)},
    )


class Model:
    """A model file, opened.

    Raises:
        InvalidPlanError: the bytes are no such file.
        ProgramError: the runtime cannot load it.
    """

    def __init__(self, data: bytes) -> None:
        self.record, program, values = _unpacked(data)
        self._program = Program(program)
        self._program.call(self.record.begin, **(values or {FLAG: np.ones([1], np.float32)}))

    def predict(self, **inputs: Array) -> dict[str, Array]:
        """What the model gives for exactly one batch of its inputs, whose names, shapes and dtypes `Program` checks."""
        return self._program.call(self.record.infer, **inputs)


def _work_that_begins_alone(plan: Plan) -> Work:
    """A work whose `begin` takes the parameters and no seed: an evaluation, where there is one."""
    works = [work for work in plan.manifest.works.values() if work.seed is None]
    if not works:
        raise ProgramError(f"every work of the plan {plan.manifest.name!r} draws random numbers")
    return min(works, key=lambda work: work.update_state is not None)


def _unpacked(data: bytes) -> tuple[ModelRecord, bytes, Tensors]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if tuple(archive.namelist()) != _MEMBERS or sum(one.file_size for one in archive.infolist()) > len(data):
                raise InvalidPlanError(f"expected the members {', '.join(_MEMBERS)}, stored as they are")
            contents = {name: archive.read(name) for name in _MEMBERS}
        record = codec.loads(ModelRecord, contents[RECORD])
        values = tensors.decode(contents[VALUES])
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, MessageError, TensorFormatError, ValueError) as error:
        raise InvalidPlanError(f"expected a model file, found {len(data)} bytes that are none ({error})") from None
    if record.format_version != _FORMAT_VERSION:
        raise InvalidPlanError(f"the model file has the format {record.format_version}; this version reads 1")
    return record, contents[PROGRAM], values
