"""A Keras model of which we know that it trains on a device as it trains in Keras.

Everything that would be exported with other numbers is refused here, by the layer's name: random draws, statistics
that training moves, penalties and constraints, frozen variables, half precision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from model_export.errors import UnsupportedModelError
from model_export.names import parameter_names
from wire.tensors import Array, TensorSpec

_OTHER_FLOATS = frozenset({"bfloat16", "float16", "float64"})
_INPUT_DTYPES = frozenset({"float32", "int32", "uint8"})


@dataclass(frozen=True)
class Parameter:
    """One trainable variable: its name in the file, Keras's path, and its value when the model was checked."""

    name: str
    path: str
    value: Array

    @property
    def spec(self) -> TensorSpec:
        """The dtype and shape; the same logically and bound."""
        return TensorSpec(str(self.value.dtype), self.value.shape)


@dataclass(frozen=True)
class CheckedModel:
    """A model that `check` has passed.

    Attributes:
        example: the spec of one example, without the batch.
        classes: how many classes the model tells apart.
        layers: the names of all layers, nested ones too.
    """

    keras_model: Any
    parameters: tuple[Parameter, ...]
    example: TensorSpec
    classes: int
    layers: frozenset[str]

    def apply(self, values: Sequence[Any], x: Any, *, training: bool) -> Any:
        """The model's output for a batch, as a pure function of the parameters' values. The model stays as it is.

        Raises:
            UnsupportedModelError: a call adds a penalty to the loss, which no layer had announced.
        """
        outputs, _, penalties = self.keras_model.stateless_call(
            list(values), [], x, training=training, return_losses=True
        )
        if penalties:
            raise _penalty(f"model {self.keras_model.name!r}")
        return outputs


def check(model: Any) -> CheckedModel:
    """Refuse a model that would train differently on a device.

    Raises:
        UnsupportedModelError: naming the layer and what can be done.
    """
    layers = _layers(model)
    problem = next(_problems(model, layers), None)
    if problem is not None:
        raise problem
    variables = model.trainable_variables
    names = parameter_names([variable.path for variable in variables])
    parameters = tuple(
        Parameter(name, variable.path, variable.value.numpy()) for name, variable in zip(names, variables, strict=True)
    )
    (source,) = model.inputs
    example = TensorSpec(source.dtype, tuple(source.shape[1:]))
    return CheckedModel(model, parameters, example, model.outputs[0].shape[-1], frozenset(one.name for one in layers))


def _layers(model: Any) -> list[Any]:
    if keras.backend.backend() != "tensorflow":
        raise UnsupportedModelError(
            "Keras", f"it runs on {keras.backend.backend()}", "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UnsupportedModelError(
            f"model {getattr(model, 'name', model)!r}",
            "expected a built Sequential or functional Keras model",
            "give a Sequential an Input, or wrap a subclassed model in keras.Model(inputs, outputs)",
        )
    return list(_nested(model))


def _nested(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _nested(layer)


def _problems(model: Any, layers: Sequence[Any]) -> Iterator[UnsupportedModelError]:
    yield from _port_problems(model)
    for layer in layers:
        if not isinstance(layer, keras.Model):  # its own layers follow
            yield from _layer_problems(layer)
    if any(not np.isfinite(variable.value.numpy()).all() for variable in model.trainable_variables):
        yield UnsupportedModelError(f"model {model.name!r}", "it has weights that are not finite", "start from others")
    if not model.trainable_variables:
        yield UnsupportedModelError(f"model {model.name!r}", "it has nothing to train", "add a layer with parameters")


def _port_problems(model: Any) -> Iterator[UnsupportedModelError]:
    where = f"model {model.name!r}"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        yield UnsupportedModelError(where, "it has several inputs or outputs", "this version takes one of each")
        return
    (source,), (output,) = model.inputs, model.outputs
    if None in source.shape[1:] or source.dtype not in _INPUT_DTYPES:
        yield UnsupportedModelError(
            where,
            f"its input is {source.dtype}{list(source.shape)}",
            "give every size but the batch, and one of the dtypes float32, int32 and uint8",
        )
    if len(output.shape) != 2 or output.shape[-1] is None:  # noqa: PLR2004 - [batch, classes]
        yield UnsupportedModelError(
            where, f"its output is {list(output.shape)}, not [batch, classes]", "end it with a Dense layer or a Flatten"
        )


def _layer_problems(layer: Any) -> Iterator[UnsupportedModelError]:
    where = f"layer {layer.name!r} ({type(layer).__name__})"
    yield from _state_problems(layer, where)
    if layer.losses or getattr(layer, "activity_regularizer", None) is not None:
        yield _penalty(where)
    if any(getattr(variable, "constraint", None) is not None for variable in layer.trainable_variables):
        yield UnsupportedModelError(where, "it constrains its weights", "remove the constraint")
    if layer.compute_dtype in _OTHER_FLOATS:
        yield UnsupportedModelError(where, f"it computes in {layer.compute_dtype}", "use the dtype policy float32")


def _state_problems(layer: Any, where: str) -> Iterator[UnsupportedModelError]:
    if not layer.trainable and layer.weights:
        yield UnsupportedModelError(where, "it is frozen", "set trainable = True on every layer with weights")
    elif isinstance(layer, keras.layers.BatchNormalization):
        remedy = "replace it, for instance with LayerNormalization, or take it out"
        yield UnsupportedModelError(where, "this version does not export the statistics it keeps", remedy)
    elif layer.non_trainable_weights:
        names = ", ".join(variable.path for variable in layer.non_trainable_weights)
        yield UnsupportedModelError(where, f"it keeps state that is not trained ({names})", "replace the layer")
    elif len(layer.variables) > len(layer.weights):  # the state of random generators is in the former only
        remedy = "take it out of the model to be exported"
        yield UnsupportedModelError(where, "it draws random numbers, which this version does not export", remedy)


def _penalty(where: str) -> UnsupportedModelError:
    return UnsupportedModelError(where, "it adds a penalty to the loss", "remove its regularizer or add_loss")
