"""Holds a file that was exported earlier, or elsewhere, against the Keras model it should be an export of."""

import re
from pathlib import Path

from model_export.errors import FileError, MissingTensorFlowError
from model_export.program_files import PLAN_SUFFIX, read_bytes, read_plan
from model_export.settings import Settings
from plans.bundle import Plan
from plans.errors import PlanError
from plans.manifest import Group
from plans.program import Program

_COUNT = "_count"


def verify_file(path: Path, model_path: Path, settings: Settings) -> tuple[str, ...]:
    """Compare every signature of a plan or a TFLite file with Keras; see `model_export.verify`.

    Args:
        settings: the loss, the optimizer and the learning rate, as they were for the export. The batch size and the
            metrics are the file's own.

    Returns:
        The names of the signatures that were compared.

    Raises:
        VerificationError: naming the first signature and tensor that differ.
        FileError: a file cannot be read, or the one is no export of the other.
        ExportError: the model cannot be exported at all.
    """
    try:
        from model_export.export import learner_of
        from model_export.model_file import load, optimizer_of
        from model_export.verify import verify_conventional, verify_plan
    except ModuleNotFoundError as error:
        raise MissingTensorFlowError(str(error.name)) from None
    plan = read_plan(path) if path.suffix == PLAN_SUFFIX else None
    tflite = read_bytes(path) if plan is None else plan.client
    try:
        program = Program(tflite)
        batch_size, metrics = _batch_size(program), _metrics(program)
        model = load(model_path)
        learner = learner_of(model, settings.loss, optimizer_of(model, settings), batch_size, metrics)
        if plan is None:
            verify_conventional(tflite, learner)
            return ("train", "evaluate", "infer", "save", "restore")
        verify_plan(plan.client, plan.server, learner, _rates(plan))
    except (PlanError, KeyError) as error:
        raise FileError(f"{path} is no export of {model_path}: {error}") from error
    return (*program.signatures, *Program(plan.server).signatures)


def _rates(plan: Plan) -> dict[str, float]:
    kept = plan.manifest.state.items()
    return {name: float(plan.initial[name]) for name, tensor in kept if tensor.group is Group.HYPERPARAMETERS}


def _batch_size(program: Program) -> int:
    return program.inputs("train")["weight"].shape[0]


def _metrics(program: Program) -> tuple[str, ...]:
    measured = (name.removesuffix(_COUNT) for name in program.outputs("evaluate") if name.endswith(_COUNT))
    names = {re.sub(r"_(true|false)_positives$", "", name) for name in measured}  # an AUC has two counts
    return tuple(sorted(names - {"loss"}))
