"""Losses: what Keras users write becomes a Keras loss with one value an example, and the labels that it takes."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import keras

from model_export.errors import UnsupportedModelError
from wire.tensors import TensorSpec

_MEANS = frozenset({"sum_over_batch_size", "mean", "mean_with_sample_weight"})
_GIVE_ONE = "give a keras.losses.Loss, its name, or a function of labels and outputs with one value an example"
_FROM_LOGITS = "_from_logits"
_WITH_LOGITS: Mapping[str, Any] = MappingProxyType(
    {
        "binary_crossentropy": keras.losses.BinaryCrossentropy,
        "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
        "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    }
)


class Labels(StrEnum):
    """What the labels of a loss hold."""

    CLASSES = "classes"  # the number of a class
    ONE_HOT = "one_hot"  # a 1 for the class, or the probabilities of all
    BINARY = "binary"  # 0 or 1 for every output
    UNIT = "unit"  # numbers from 0 to 1
    REAL = "real"  # any numbers

    def spec(self, output: TensorSpec) -> TensorSpec:
        """The labels of one example, for a model with this output: as the output, or without its classes."""
        if self is Labels.CLASSES:
            return TensorSpec("int32", output.shape[:-1])
        return TensorSpec("float32", output.shape)


# Keras's functions -> their labels; the labels of any other loss are drawn from 0 to 1 when an export is verified.
_LABELS: Mapping[Any, Labels] = MappingProxyType(
    {
        keras.losses.sparse_categorical_crossentropy: Labels.CLASSES,
        keras.losses.categorical_crossentropy: Labels.ONE_HOT,
        keras.losses.categorical_focal_crossentropy: Labels.ONE_HOT,
        keras.losses.categorical_hinge: Labels.ONE_HOT,
        keras.losses.binary_crossentropy: Labels.BINARY,
        keras.losses.binary_focal_crossentropy: Labels.BINARY,
        keras.losses.hinge: Labels.BINARY,
        keras.losses.squared_hinge: Labels.BINARY,
        keras.losses.cosine_similarity: Labels.REAL,
        keras.losses.huber: Labels.REAL,
        keras.losses.log_cosh: Labels.REAL,
        keras.losses.mean_absolute_error: Labels.REAL,
        keras.losses.mean_squared_error: Labels.REAL,
    }
)


def _hinge(labels: Any, outputs: Any) -> Any:
    """mean max(0, 1 − t y), with t = −1 where the label is 0.

    Keras asks whether the whole batch is of 0 and 1 and then turns each 0 to −1; here each 0 is turned by itself, which
    is the same for labels of 0 and 1 and for labels of −1 and 1, and does not branch.
    """
    return keras.ops.mean(keras.ops.relu(1.0 - _signs(labels) * outputs), axis=-1)


def _squared_hinge(labels: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.ops.square(keras.ops.relu(1.0 - _signs(labels) * outputs)), axis=-1)


def _signs(labels: Any) -> Any:
    return labels - (1.0 - keras.ops.sign(keras.ops.abs(labels)))


# Keras's function -> the same with ops that devices have
_ON_DEVICE: Mapping[Any, Any] = MappingProxyType(
    {keras.losses.hinge: _hinge, keras.losses.squared_hinge: _squared_hinge}
)


class FunctionLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """A function of labels and outputs as a Keras loss."""

    def __init__(self, fn: Any) -> None:
        super().__init__(name=getattr(fn, "__name__", "loss"))
        self.fn = fn

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values of the examples."""
        return self.fn(y_true, y_pred)


def resolve(loss: Any) -> Any:
    """The Keras loss that this means, as in `model.compile`; names may end in `_from_logits`.

    Raises:
        UnsupportedModelError: none, no loss, or one whose values are not averaged.
    """
    if loss is None:
        raise UnsupportedModelError("the loss", "none was given and the model is not compiled", _GIVE_ONE)
    if isinstance(loss, str):
        loss = _named(loss)
    if not isinstance(loss, keras.losses.Loss) and callable(loss):
        loss = FunctionLoss(loss)
    where = f"loss {getattr(loss, 'name', loss)!r}"
    if not isinstance(loss, keras.losses.Loss):
        raise UnsupportedModelError(where, "it is not a loss", _GIVE_ONE)
    if _option(loss, "ignore_class") is not None:
        raise UnsupportedModelError(where, "ignore_class is not exported", "give such examples the weight zero")
    if loss.reduction not in _MEANS:
        raise UnsupportedModelError(
            where, f"its reduction is {loss.reduction!r}", "use 'sum_over_batch_size', the mean"
        )
    return loss


def labels_of(loss: Any) -> Labels:
    """What the labels of a resolved loss hold."""
    return _LABELS.get(getattr(loss, "fn", None), Labels.UNIT)


def values_of(loss: Any, labels: Any, outputs: Any) -> Any:
    """The value of every example, by Keras's own code unless it branches."""
    ours = _ON_DEVICE.get(getattr(loss, "fn", None))
    return loss.call(labels, outputs) if ours is None else ours(labels, outputs)


def _named(name: str) -> Any:
    if (base := name.removesuffix(_FROM_LOGITS)) != name and base in _WITH_LOGITS:
        return _WITH_LOGITS[base](from_logits=True)
    try:
        return keras.losses.get(name)
    except ValueError:
        raise UnsupportedModelError(f"loss {name!r}", "there is none of that name", _GIVE_ONE) from None


def _option(loss: Any, name: str) -> Any:
    return getattr(loss, name, None) or getattr(loss, "_fn_kwargs", {}).get(name)
