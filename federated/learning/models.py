"""Models as pure functions of their weights, which is what clients can train and servers can average."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from federated.language.types import StructType, StructWithPythonType, TensorType, Type, to_type
from wire.tensors import Array

Weights = list[Any]
Forward = Callable[[Weights, Weights, Any, Any], tuple[Any, Weights]]
PerExample = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class ModelWeights:
    """The weights of a model: those that training changes, and those that only the forward pass changes."""

    trainable: list[Any]
    non_trainable: list[Any]


@dataclass(frozen=True)
class FunctionalModel:
    """A model without any state of its own.

    Attributes:
        initial_weights: what training starts from.
        example: the types of one example's `x` and `y`.
        forward: `(trainable, non_trainable, x, weight) -> outputs, non_trainable`. `weight` is one for each example, 0
            for padding; None where the model is only asked, not trained.
        loss: `(y, outputs) ->` one value for each example.
        metrics: further values for each example, by name; their means are reported.
        penalty: what the weights themselves add to the loss, such as an L2 regulariser.
        classes: how many there are, where a label is the number of one; None where labels are something else.
    """

    initial_weights: ModelWeights
    example: tuple[Type, Type]
    forward: Forward
    loss: PerExample
    metrics: Mapping[str, PerExample] = field(default_factory=dict)
    penalty: Callable[[Weights], Any] | None = None
    classes: int | None = None

    @property
    def weights_type(self) -> Type:
        """The type of the model's weights."""
        return weights_type_of(self.initial_weights)

    @property
    def batch_type(self) -> Type:
        """`<x=…[?,…],y=…[?,…],weight=float32[?]>`: examples, and 1 for each of them, 0 for padding."""
        x, y = (_batched(type_) for type_ in self.example)
        return to_type({"x": x, "y": y, "weight": TensorType(np.float32, [None])})


def functional_model_from_keras(
    keras_model: Any, loss_fn: Any, input_spec: Any = None, metrics: Sequence[Any] = ()
) -> FunctionalModel:
    """A Keras model as a functional one.

    Args:
        loss_fn: a `keras.losses.Loss`, its name, or a function of labels and outputs with one value an example.
        input_spec: the specs of a batch's `(x, y)`, their first size open; None where the model and the loss say it.
        metrics: Keras metrics that are means over examples, or their names.

    Raises:
        UnsupportedModelError: a layer, the loss or a metric that devices cannot compute.
    """
    from federated.backends.keras_models import from_keras

    return from_keras(keras_model, loss_fn, input_spec, metrics)


def weights_type_of(weights: ModelWeights) -> Type:
    """The type of some weights."""

    def described(arrays: Sequence[Array]) -> StructType:
        return StructWithPythonType([TensorType(array.dtype, array.shape) for array in arrays], list)

    return StructWithPythonType(
        [("trainable", described(weights.trainable)), ("non_trainable", described(weights.non_trainable))],
        ModelWeights,
    )


def _batched(type_: Type) -> Type:
    """The type of a batch of some examples."""
    if isinstance(type_, StructType):
        return type_.with_elements([_batched(element) for element in type_])
    assert isinstance(type_, TensorType)  # noqa: S101 - an example is made of tensors
    return TensorType(type_.dtype, [None, *(type_.shape or ())])
