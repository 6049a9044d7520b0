"""What would train differently on a device is refused by name, before anything is converted."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import model_export
from model_export.errors import SettingsError, UnsupportedModelError, UnsupportedOpError, VerificationError
from model_export.lowering.registry import unregister_lowering
from tests.model_export.architectures import CLASSES
from tests.model_export.zoo import mlp

pytestmark = pytest.mark.tensorflow

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _export(model: Any, **changes: Any) -> Any:
    return model_export.export_model(model, **({"loss": LOGITS, "optimizer": "sgd", "batch_size": 2} | changes))


def _with(*between: Any, shape: tuple[int, ...] = (6,)) -> Any:
    """A model whose middle is given."""
    return keras.Sequential([keras.Input(shape), *between, layers.Flatten(), layers.Dense(CLASSES)])


class Calls(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A layer without parameters, around a function."""

    def __init__(self, function: Callable[[Any], Any], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def _loop(x: Any) -> Any:
    (doubled,) = tf.while_loop(lambda y: tf.reduce_sum(y) < 1, lambda y: (2 * y,), (x,))
    return doubled


def _in_python(x: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32), x.shape)


# op -> what the layer computes, and the shape of its input
UNSUPPORTED_OPS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Erfinv": (lambda x: keras.ops.erfinv(x / 10), (6,)),
    "Svd": (lambda x: tf.linalg.svd(x, compute_uv=False), (3, 3)),
    "BesselI0": (tf.function(tf.math.bessel_i0), (6,)),
    "StatelessWhile": (_loop, (6,)),
    "RandomStandardNormal": (lambda x: x + tf.random.normal([6]), (6,)),
    "StatelessRandomGetKeyCounter": (lambda x: x + tf.random.stateless_uniform([6], [1, 2]), (6,)),
    "PyFunc": (_in_python, (6,)),
}


@pytest.mark.parametrize("op_type", UNSUPPORTED_OPS)
def test_an_op_without_a_builtin_form_is_refused_with_its_layer(op_type: str) -> None:
    function, shape = UNSUPPORTED_OPS[op_type]
    with pytest.raises(UnsupportedOpError, match="layer 'culprit'") as caught:
        _export(_with(Calls(function, "culprit"), shape=shape))
    assert caught.value.op_type == op_type
    assert caught.value.source.startswith("test_refusals.py:")
    assert "register_lowering" in str(caught.value)
    assert "replace the layer" in str(caught.value)


def test_a_gradient_without_a_builtin_form_is_refused_with_its_layer() -> None:
    spectrum = Calls(lambda x: tf.abs(tf.signal.rfft2d(x)), "culprit")
    with pytest.raises(UnsupportedOpError) as caught:
        _export(_with(layers.Dense(4), spectrum, shape=(4, 4)))
    assert caught.value.op_name.startswith("gradient_tape/")
    assert caught.value.layer == "culprit"


FORMS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "channels_last": (layers.Conv2D(4, 2, data_format="channels_first", name="culprit"), (2, 4, 4)),
}


@pytest.mark.parametrize("reason", FORMS)
def test_a_form_that_a_lowering_does_not_cover_is_refused_with_its_layer(reason: str) -> None:
    layer, shape = FORMS[reason]
    with pytest.raises(UnsupportedOpError, match=reason) as caught:
        _export(_with(layer, shape=shape))
    assert (caught.value.op_type, caught.value.layer) == ("Conv2D", "culprit")


def test_a_layer_inside_a_nested_model_is_named() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        _export(_with(_with(Calls(tf.math.bessel_i0, "culprit"))))
    assert caught.value.layer == "culprit"


def _active() -> Any:
    return layers.Dense(4, activity_regularizer="l2", name="culprit")


class Penalises(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Adds to the loss only when it is called."""

    def call(self, x: Any) -> Any:
        self.add_loss(keras.ops.sum(x))
        return x


class HiddenPenalty(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Holds a layer that adds to the loss, so that no public attribute tells before the call."""

    def __init__(self) -> None:
        super().__init__(name="hiding")
        self.inner = Penalises()

    def call(self, x: Any) -> Any:
        return self.inner(x)


WRONG_LAYERS: dict[str, Callable[[], Any]] = {
    "activity": lambda: layers.Dense(4, activity_regularizer="l2", name="culprit"),
    "constraint": lambda: layers.Dense(4, kernel_constraint="non_neg", name="culprit"),
    "half precision": lambda: layers.Dense(4, dtype="mixed_float16", name="culprit"),
    "state": lambda: layers.SpectralNormalization(layers.Dense(4), name="culprit"),
    "nested activity": lambda: keras.Sequential([keras.Input((6,)), _active()]),
}


@pytest.mark.parametrize("case", WRONG_LAYERS)
def test_a_layer_that_would_train_differently_is_refused_by_name(case: str) -> None:
    with pytest.raises(UnsupportedModelError, match="layer 'culprit'"):
        _export(_with(WRONG_LAYERS[case]()))


def test_a_penalty_that_shows_only_when_called_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="penalty"):
        _export(_with(HiddenPenalty()))


def _two_inputs() -> Any:
    one, other = keras.Input((3,)), keras.Input((3,))
    return keras.Model([one, other], layers.Dense(CLASSES)(layers.Add()([one, other])))


def _broken() -> Any:
    model = mlp()
    model.set_weights([np.full_like(value, np.nan) for value in model.get_weights()])
    return model


def _masked() -> Any:
    return keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(5, 3, mask_zero=True), layers.Dense(CLASSES)]
    )


def mlp_named(name: str) -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(CLASSES, name=name)])


MODELS: dict[str, Callable[[], Any]] = {
    "expected a built": lambda: keras.Sequential([layers.Dense(3)]),
    "several inputs": _two_inputs,
    "not finite": _broken,
    "every size but the batch": lambda: keras.Sequential([keras.Input((None, 3)), layers.Dense(3), layers.Flatten()]),
    "not float32": lambda: keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.Flatten(dtype="float16")]),
    "a mask of time steps": _masked,
    "layer 'schicht_ä' .*no such name": lambda: mlp_named("schicht_ä"),
    "layer 'two words' .*no such name": lambda: keras.Sequential([keras.Input((4,)), mlp_named("two words")]),
    "nothing to train": lambda: keras.Sequential([keras.Input((4,)), layers.ReLU()]),
}


@pytest.mark.parametrize("problem", MODELS)
def test_a_model_of_another_form_is_refused(problem: str) -> None:
    with pytest.raises(UnsupportedModelError, match=problem):
        _export(MODELS[problem]())


ADAM = keras.optimizers.Adam

WRONG_ARGUMENTS: dict[str, dict[str, Any]] = {
    "schedule": {"optimizer": keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))},
    "use_ema=True": {"optimizer": ADAM(0.1, use_ema=True)},
    "gradient_accumulation_steps=2": {"optimizer": ADAM(0.1, gradient_accumulation_steps=2)},
    "loss_scale_factor=2.0": {"optimizer": ADAM(0.1, loss_scale_factor=2.0)},
    "slots depend": {"optimizer": keras.optimizers.Adafactor(0.1)},
    "optimizer 'adem': there is none": {"optimizer": "adem"},
    "not a Keras optimizer": {"optimizer": object()},
    "not positive": {"optimizer": -1.0},
    "not compiled": {"optimizer": None},
    "loss 'mze': there is none": {"loss": "mze"},
    "the loss: none was given": {"loss": None},
    "ignore_class": {"loss": keras.losses.SparseCategoricalCrossentropy(ignore_class=0)},
    "its reduction is 'sum'": {"loss": keras.losses.SparseCategoricalCrossentropy(reduction="sum")},
    "its reduction is None": {"loss": keras.losses.MeanSquaredError(reduction=None)},
    "one value an example": {"loss": keras.losses.Dice()},
    "the model has one output": {"model": lambda: mlp(1)},
    "metric 'aux': there is none": {"metrics": ("aux",)},
    "does not follow from sums over examples": {"metrics": (keras.metrics.RootMeanSquaredError(),)},
    "multi_label and label_weights": {"metrics": (keras.metrics.AUC(multi_label=True, num_labels=5),)},
    "its labels are": {"metrics": ("auc",)},
    "metric 'precision'": {"metrics": (keras.metrics.Precision(name="precision"),)},
}


@pytest.mark.parametrize("problem", WRONG_ARGUMENTS)
def test_an_objective_that_is_not_exported_is_refused(problem: str) -> None:
    given = dict(WRONG_ARGUMENTS[problem])
    model = given.pop("model", mlp)()
    with pytest.raises(UnsupportedModelError, match=problem):
        _export(model, **given)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_a_batch_size_that_is_none_is_refused(batch_size: Any) -> None:
    with pytest.raises(SettingsError, match="batch_size"):
        _export(mlp(), batch_size=batch_size)


@pytest.fixture
def registrations() -> Iterator[None]:
    yield
    for op_type in ("Cross", "ReluGrad"):
        unregister_lowering(op_type)


@pytest.mark.usefixtures("registrations")
def test_a_registered_lowering_makes_an_op_exportable() -> None:
    model = _with(layers.Dense(3), Calls(lambda x: tf.linalg.cross(x, tf.nn.relu(x)), "culprit"))
    with pytest.raises(UnsupportedOpError):
        _export(model)

    @model_export.register_lowering("Cross")
    def cross(op: Any, inputs: Any, scope: Any) -> Any:
        (a, b, c), (x, y, z) = (tf.unstack(value, axis=-1) for value in inputs)
        return [tf.stack([b * z - c * y, c * x - a * z, a * y - b * x], -1)]

    assert _export(model).tflite


@pytest.mark.parametrize("learning_rate", [1.0, 1e-3])
@pytest.mark.usefixtures("registrations")
def test_a_wrong_gradient_is_found_however_small_the_step(learning_rate: float) -> None:
    model_export.register_lowering("ReluGrad")(lambda op, inputs, scope: [inputs[0] * tf.sign(inputs[1]) * 0.95])
    with pytest.raises(VerificationError) as caught:
        _export(mlp(), optimizer=learning_rate)
    assert caught.value.signature == "train"
    assert caught.value.difference > caught.value.tolerance
