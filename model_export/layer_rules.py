"""The rules that a Keras model keeps to be exported: everything that would train to other numbers is refused by name.

Layers are taken by what they do, not by a list of names: whichever keeps no state of its own, adds nothing to the loss
when it is called and computes in float32 is let through; whether its ops have a builtin form is for `lowering` to say.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.backend import get_keras_mask

from model_export.errors import UnsupportedModelError

_OTHER_FLOATS = frozenset({"bfloat16", "float16", "float64"})
# What `tf.name_scope` takes.
_NAME = re.compile(r"[A-Za-z0-9_.\\/>-]*")
_OUTERMOST_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_INPUT_DTYPES = frozenset({"float32", "int32", "uint8"})


def layers_of(model: Any) -> list[Any]:
    """Every layer of a model, those inside layers too, each once.

    Raises:
        UnsupportedModelError: not a built model, or not on TensorFlow.
    """
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
    return list(model._flatten_layers(include_self=False))


def problems(model: Any, layers: Sequence[Any]) -> Iterator[UnsupportedModelError]:
    """What stands against exporting a model, the first problem first."""
    yield from _port_problems(model)
    yield from _name_problems(model, layers)
    for layer in layers:
        if not isinstance(layer, keras.Model):  # its own layers follow
            yield from _layer_problems(layer)
    if any(not np.isfinite(variable.value.numpy()).all() for variable in model.weights):
        yield UnsupportedModelError(f"model {model.name!r}", "it has weights that are not finite", "start from others")
    if not model.trainable_variables:
        yield UnsupportedModelError(f"model {model.name!r}", "it has nothing to train", "add a layer with parameters")


def draws(layer: Any) -> bool:
    """Whether training draws random numbers for a layer. A recurrent cell that drops nothing has a generator too."""
    rates = [getattr(layer, name) for name in ("dropout", "recurrent_dropout") if hasattr(layer, name)]
    return bool(layer._seed_generators) and (not rates or any(rates))


def regulariser_count(model: Any) -> int:
    """How many penalties the weights' regularisers add to the loss."""
    return sum(getattr(variable, "regularizer", None) is not None for variable in model.trainable_weights)


def mask_of(outputs: Any) -> Any:
    """The mask that Keras would apply to the loss, or None."""
    return get_keras_mask(outputs)


def penalty(where: str) -> UnsupportedModelError:
    """The refusal of what a call adds to the loss: padding would add to it as well."""
    remedy = "remove its activity_regularizer or add_loss; regularisers of weights are exported"
    return UnsupportedModelError(where, "it adds a penalty to the loss when it is called", remedy)


def masked(where: str) -> UnsupportedModelError:
    """The refusal of outputs with a mask, whose loss Keras weighs by how much of the whole batch is masked."""
    return UnsupportedModelError(where, "its outputs carry a mask of time steps", "drop mask_zero, or the last masks")


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
    if len(output.shape) == 1 or None in output.shape[1:] or output.dtype != "float32":
        found = f"its output is {output.dtype}{list(output.shape)}, not float32[batch, ...]"
        yield UnsupportedModelError(where, found, "give every size but the batch, and at least one")


def _name_problems(model: Any, layers: Sequence[Any]) -> Iterator[UnsupportedModelError]:
    """A graph of TensorFlow names its ops after layers, so that Keras itself cannot train one of another name there."""
    outermost = {id(layer) for layer in model.layers}
    for layer in layers:
        allowed = _OUTERMOST_NAME if id(layer) in outermost else _NAME
        if not isinstance(layer, keras.layers.InputLayer) and not allowed.fullmatch(layer.name):
            problem = "TensorFlow takes no such name in a graph"
            remedy = "use ASCII letters, digits and any of _ . / > -, a letter or digit first"
            yield UnsupportedModelError(f"layer {layer.name!r} ({type(layer).__name__})", problem, remedy)


def _layer_problems(layer: Any) -> Iterator[UnsupportedModelError]:
    where = f"layer {layer.name!r} ({type(layer).__name__})"
    if getattr(layer, "activity_regularizer", None) is not None or len(layer.losses) > regulariser_count(layer):
        yield penalty(where)
    if any(getattr(variable, "constraint", None) is not None for variable in layer.trainable_variables):
        yield UnsupportedModelError(where, "it constrains its weights", "remove the constraint")
    if layer.compute_dtype in _OTHER_FLOATS:
        yield UnsupportedModelError(where, f"it computes in {layer.compute_dtype}", "use the dtype policy float32")
    yield from _state_problems(layer, where)


def _state_problems(layer: Any, where: str) -> Iterator[UnsupportedModelError]:
    """A layer that keeps weights which are not trained although it is: only batch normalisation moves them right."""
    weights = {id(variable) for variable in layer.non_trainable_weights}
    own = [variable for variable in layer._non_trainable_variables if id(variable) in weights]
    if isinstance(layer, keras.layers.BatchNormalization | keras.layers.Normalization) or not layer.trainable:
        return
    if own:
        names = ", ".join(variable.path for variable in own)
        yield UnsupportedModelError(where, f"it keeps state that is not trained ({names})", "replace the layer")
