"""An area under a curve, from histograms that any number of batches and devices add up, is Keras's."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import model_export
from model_export import ExportedModel, UnsupportedModelError, learning_plan
from model_export.settings import Settings
from model_export.verify_file import verify_file
from plans.program import Program
from tests.model_export.zoo import mlp
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow

BATCH, BATCHES = 8, 12
AUC = keras.metrics.AUC
METRICS: dict[str, Callable[..., Any]] = {
    "roc": AUC,
    "pr": lambda **own: AUC(curve="PR", **own),
    "minoring": lambda **own: AUC(num_thresholds=40, summation_method="minoring", **own),
    "majoring": lambda **own: AUC(curve="PR", num_thresholds=40, summation_method="majoring", **own),
    "own_thresholds": lambda **own: AUC(thresholds=[0.1, 0.35, 0.4, 0.9], **own),
}


@cache
def _exported(units: int) -> tuple[Any, ExportedModel]:
    keras.utils.set_random_seed(3)
    model = mlp(units)
    metrics = [make(name=name, from_logits=True) for name, make in METRICS.items()]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return model, model_export.export_model(model, loss=loss, optimizer="sgd", batch_size=BATCH, metrics=metrics)


def _examples(model: Any) -> tuple[Array, Array]:
    """Labels that follow the model's outputs, with some doubt."""
    random = np.random.default_rng(1)
    x = random.standard_normal((BATCH * BATCHES - 3, 12)).astype(np.float32)
    outputs = model.predict_on_batch(x)
    return x, (outputs + outputs.std() * random.standard_normal(outputs.shape) > 0).astype(np.float32)


def _summed(file: ExportedModel, x: Array, y: Array) -> dict[str, Array]:
    program = Program(file.tflite)
    sums: dict[str, Array] = {}
    for start in range(0, len(x), BATCH):
        some = slice(start, start + BATCH)
        missing = BATCH - len(x[some])
        fed = {"x": np.pad(x[some], [(0, missing), (0, 0)]), "y": np.pad(y[some], [(0, missing), (0, 0)])}
        given = program.call("evaluate", **fed, weight=(np.arange(BATCH) < BATCH - missing).astype(np.float32))
        sums = {name: sums.get(name, 0) + value for name, value in given.items()}
    return sums


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("units", [1, 3])
def test_it_is_that_of_keras_over_all_batches(name: str, units: int) -> None:
    model, file = _exported(units)
    x, y = _examples(model)
    found = file.finished(_summed(file, x, y))
    expected = METRICS[name](from_logits=True)
    expected.update_state(y, model.predict_on_batch(x))
    assert found[name] == pytest.approx(float(expected.result()), abs=1e-6)
    assert 0.5 < found["roc"] < 1
    loss = keras.losses.BinaryCrossentropy(from_logits=True)(y, model.predict_on_batch(x))
    assert found["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_a_count_has_an_entry_for_every_threshold() -> None:
    model, file = _exported(1)
    x, y = _examples(model)
    sums = _summed(file, x, y)
    assert sums["roc_true_positives_sum"].shape == (200,)
    assert sums["roc_true_positives_sum"][0] == y.sum()
    assert sums["roc_false_positives_sum"][0] == (1 - y).sum()
    assert not sums["roc_true_positives_sum"][-1]


def test_a_model_of_probabilities_has_one_too() -> None:
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(1, activation="sigmoid")])
    file = model_export.export_model(
        model, loss="binary_crossentropy", optimizer="sgd", batch_size=BATCH, metrics=("auc", "accuracy")
    )
    x, y = _examples(model)
    expected = AUC()
    expected.update_state(y, model.predict_on_batch(x))
    found = file.finished(_summed(file, x, y))
    assert found["auc"] == pytest.approx(float(expected.result()), abs=1e-6)
    assert set(found) == {"loss", "auc", "accuracy"}


def test_a_file_with_one_is_verified_anew(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(1, activation="sigmoid")])
    settings = Settings(loss="binary_crossentropy", optimizer="sgd", learning_rate=0.1)
    file = model_export.export_model(
        model, loss=settings.loss, optimizer=0.1, batch_size=BATCH, metrics=("accuracy", "auc")
    )
    (tmp_path / "model.tflite").write_bytes(file.tflite)
    model.save(tmp_path / "model.keras")
    assert "evaluate" in verify_file(tmp_path / "model.tflite", tmp_path / "model.keras", settings)


def test_a_plan_says_that_its_metrics_are_scalars() -> None:
    with pytest.raises(UnsupportedModelError, match="metric 'auc': its sums are vectors"):
        learning_plan(mlp(1), name="a", loss="binary_crossentropy", optimizer="sgd", batch_size=BATCH, metrics=("auc",))
