"""Every model of the zoo trains on every runtime as it trains in Keras, step by step.

Each step starts from Keras's own variables, so that a tie that rounding breaks another way does not add up. The oracle
is `train_on_batch` of an untouched Keras model. Models with random layers are held against Keras's code fed with the
numbers that the file draws. FEDELTA_ZOO_STEPS raises the number of steps, and FEDELTA_TFLITE_RUNTIME names the Python
of an environment with tflite-runtime.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import model_export
from model_export import ExportedModel
from model_export.export import learner_of
from model_export.reference import Reference
from tests.model_export.replay import replay
from tests.model_export.zoo import ZOO, Entry
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]

BATCH = 6
STEPS = int(os.environ.get("FEDELTA_ZOO_STEPS", "4"))
ROOT = Path(__file__).parents[2]
OTHER_RUNTIME = Path(os.environ.get("FEDELTA_TFLITE_RUNTIME", ROOT / ".venvs/tflite-runtime/bin/python"))
TOLERANCE = 1e-6
FIGURES = os.environ.get("FEDELTA_ZOO_FIGURES")  # a file that collects the largest errors, a JSON line a model


class Recorded:
    """A model's export and the steps that Keras takes, as `replay` reads them."""

    def __init__(self, name: str) -> None:
        entry = ZOO[name]
        model = entry.model()
        self.name = name
        self.file = model_export.export_model(
            model, loss=entry.loss, optimizer=entry.optimizer(), batch_size=BATCH, metrics=entry.metrics
        )
        draws = any("seed" in slot for slot in self.file.slots)
        self.steps = (_drawn_steps if draws else _keras_steps)(entry, model, self.file)


def _keras_steps(entry: Entry, model: Any, file: ExportedModel) -> dict[str, Array]:
    model.compile(entry.optimizer(), entry.loss)
    model.optimizer.build(model.trainable_variables)
    steps: dict[str, Array] = {}
    for step in range(STEPS):
        count = BATCH if step % 2 == 0 else BATCH - 2
        x, y = entry.batch(model, BATCH, step)
        start = _state(model, file)
        model.reset_metrics()
        loss = model.train_on_batch(x[:count], y[:count])
        _record(steps, step, start, (x, y, count), _state(model, file), np.asarray(loss))
    return steps


def _state(model: Any, file: ExportedModel) -> dict[str, Array]:
    """Keras's variables under the names of the file."""
    counter, _, *slots = model.optimizer.variables
    trained = {id(one): name for one, name in zip(model.trainable_variables, file.parameters, strict=True)}
    by_path = {file.paths[name]: name for name in file.statistics}
    state = {trained[id(one)]: one.numpy() for one in model.trainable_variables}
    state |= {by_path[one.path]: one.numpy() for one in model.non_trainable_variables if one.path in by_path}
    found = zip(file.slots, [counter, *slots], strict=True) if slots else ()
    return state | {name: _bound(one.numpy()) for name, one in found}


def _bound(value: Array) -> Array:
    return np.reshape(value.astype(np.int32) if value.dtype.kind == "i" else value, value.shape or (1,))


def _drawn_steps(entry: Entry, model: Any, file: ExportedModel) -> dict[str, Array]:
    learner = learner_of(model, entry.loss, entry.optimizer(), BATCH, ())
    reference = Reference(learner)
    state = {one.name: one.bound_initial for one in learner.kept} | {file.slots[1]: np.array([1234], np.int32)}
    steps: dict[str, Array] = {}
    for step in range(STEPS):
        count = BATCH if step % 2 == 0 else BATCH - 2
        x, y = entry.batch(model, BATCH, step)
        taken = reference.step(state, x[:count], y[:count])
        _record(steps, step, state, (x, y, count), taken.moved, np.asarray(taken.loss))
        state = taken.moved
    return steps


def _record(
    steps: dict[str, Array],
    step: int,
    start: dict[str, Array],
    batch: tuple[Array, Array, int],
    moved: dict[str, Array],
    loss: Array,
) -> None:
    x, y, count = batch
    fed = {"x": x, "y": y, "weight": (np.arange(BATCH) < count).astype(np.float32)}
    for group, values in (("start", start), ("fed", fed), ("moved", moved)):
        steps.update({f"{step}/{group}/{name}": value for name, value in values.items()})
    steps[f"{step}/loss"] = loss


@pytest.fixture(scope="module", params=ZOO)
def recorded(request: Any) -> Recorded:
    keras.utils.clear_session()
    return Recorded(request.param)


def _assert_small(recorded: Recorded, where: str, errors: dict[str, float]) -> None:
    if FIGURES:
        with Path(FIGURES).open("a") as file:
            file.write(json.dumps({"model": recorded.name, "where": where, "errors": errors}) + "\n")
    largest = max(float(abs(value)) for key, value in recorded.steps.items() if key.endswith("/loss"))
    assert errors.pop("loss") <= TOLERANCE * max(1.0, largest)
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("delegate", [True, False], ids=["xnnpack", "builtin"])
def test_every_step_is_the_step_of_keras(recorded: Recorded, delegate: bool) -> None:
    errors = replay(recorded.file.tflite, recorded.steps, delegate=delegate)
    _assert_small(recorded, f"litert {'xnnpack' if delegate else 'builtin'}", errors)


@pytest.mark.skipif(not OTHER_RUNTIME.exists(), reason="there is no environment with tflite-runtime")
@pytest.mark.parametrize("delegate", [True, False], ids=["xnnpack", "builtin"])
def test_every_step_is_the_step_of_keras_on_tflite_runtime(recorded: Recorded, delegate: bool, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(recorded.file.tflite)
    np.savez(tmp_path / "steps.npz", **recorded.steps)  # type: ignore[arg-type]  # numpy's stub takes no names
    files = [str(tmp_path / "model.tflite"), str(tmp_path / "steps.npz")]
    command = [str(OTHER_RUNTIME), "-m", "tests.model_export.replay", *files, *([] if delegate else ["builtin"])]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    where = f"tflite-runtime {'xnnpack' if delegate else 'builtin'}"
    _assert_small(recorded, where, json.loads(done.stdout.splitlines()[-1]))
