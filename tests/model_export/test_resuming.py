"""What a device saves is all that training depends on: going on from it is the same as not having stopped."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import model_export
from plans.program import Program
from tests.model_export.zoo import LOGITS, Entry, around
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow

BATCH = 4
ENTRY = Entry(
    lambda: around(layers.Dense(8, name="wide"), layers.BatchNormalization(name="norm"), layers.Dropout(0.3)),
    optimizer=lambda: keras.optimizers.Adam(0.01),
)
FLAG = np.ones([1], np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    return ENTRY.model()


@pytest.fixture(scope="module")
def exported(model: Any) -> model_export.ExportedModel:
    return model_export.export_model(model, loss=LOGITS, optimizer=ENTRY.optimizer(), batch_size=BATCH)


def _train(program: Program, model: Any, steps: range) -> None:
    for step in steps:
        x, y = ENTRY.batch(model, BATCH, step)
        program.call("train", x=x, y=y, weight=np.ones([BATCH], np.float32))


def _saved(program: Program) -> dict[str, Array]:
    return program.call("save", flag=FLAG)


@pytest.mark.parametrize("stop", range(5))
def test_stopping_after_any_step_changes_nothing(exported: Any, model: Any, stop: int) -> None:
    whole, before, after = Program(exported.tflite), Program(exported.tflite), Program(exported.tflite)
    _train(whole, model, range(5))
    _train(before, model, range(stop))
    after.call("restore", **_saved(before))
    _train(after, model, range(stop, 5))
    resumed = _saved(after)
    for name, value in _saved(whole).items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_what_is_saved_is_named_by_group(exported: Any) -> None:
    names = {*exported.parameters, *exported.statistics, *exported.slots}
    assert names == set(_saved(Program(exported.tflite))) == set(exported.paths)
    assert exported.statistics == ("s000_norm_moving_mean", "s001_norm_moving_variance")
    assert exported.slots[:3] == ("o000_iteration", "o001_seed", "o002_p000_wide_kernel_momentum")


def test_another_seed_draws_other_noise_and_the_same_seed_the_same(exported: Any, model: Any) -> None:
    def weights(seed: int) -> Array:
        program = Program(exported.tflite)
        program.call("restore", **_saved(program) | {"o001_seed": np.array([seed], np.int32)})
        _train(program, model, range(2))
        return _saved(program)["p000_wide_kernel"]

    np.testing.assert_array_equal(weights(1), weights(1))
    assert np.abs(weights(1) - weights(2)).max() > 1e-3
