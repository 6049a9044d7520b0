"""A Keras model of which we know that it trains on a device as it trains in Keras, and its variables by group.

What training does to a variable decides its group: an optimizer moves `parameters`, a batch normalisation moves
`statistics`, and nothing moves what is frozen, which becomes constants of the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from model_export import layer_rules
from model_export.names import parameter_names, statistic_names
from wire.tensors import Array, TensorSpec


@dataclass(frozen=True)
class ModelVariable:
    """One variable of the model that training moves: its name in the file, Keras's path, its value when checked.

    Attributes:
        original: the model's own variable, which stays as it is.
    """

    name: str
    path: str
    value: Array
    original: Any


@dataclass(frozen=True)
class Forward:
    """What one call of the model gives.

    Attributes:
        statistics: the new value of each statistic.
        penalty: what the weights' regularisers add to the loss; None if there are none.
    """

    outputs: Any
    statistics: tuple[Any, ...]
    penalty: Any


@dataclass(frozen=True)
class CheckedModel:
    """A model that `check` has passed.

    Attributes:
        example, output: the specs of one example and of what the model gives for it, without the batch.
        layers: the names of all layers, nested ones too.
        draws: whether training draws random numbers.
        still: the values of the variables that do not move, by their ids: constants of every function that is traced.
    """

    keras_model: Any
    parameters: tuple[ModelVariable, ...]
    statistics: tuple[ModelVariable, ...]
    example: TensorSpec
    output: TensorSpec
    layers: frozenset[str]
    draws: bool
    still: Mapping[int, Array]

    def apply(self, parameters: Sequence[Any], statistics: Sequence[Any], x: Any, *, training: bool) -> Forward:
        """The model on a batch, as a pure function of its variables' values. The model stays as it is.

        Raises:
            UnsupportedModelError: the call adds a penalty to the loss that is not a regulariser of weights, or gives
                its outputs a mask.
        """
        model = self.keras_model
        moved = {id(one.original): value for one, value in zip(self.statistics, statistics, strict=True)}
        held = {**self.still, **moved}
        others = [held[id(one)] for one in model.non_trainable_variables]
        outputs, others, penalties = model.stateless_call(
            list(parameters), others, x, training=training, return_losses=True
        )
        if len(penalties) > layer_rules.regulariser_count(model):
            raise layer_rules.penalty(f"model {model.name!r}")
        if layer_rules.mask_of(outputs) is not None:
            raise layer_rules.masked(f"model {model.name!r}")
        after = {id(one): value for one, value in zip(model.non_trainable_variables, others, strict=True)}
        moved_to = tuple(after[id(one.original)] for one in self.statistics)
        return Forward(outputs, moved_to, tf.add_n(penalties) if penalties else None)


def check(model: Any) -> CheckedModel:
    """Refuse a model that would train differently on a device.

    Raises:
        UnsupportedModelError: naming the layer and what can be done.
    """
    layers = layer_rules.layers_of(model)
    problem = next(layer_rules.problems(model, layers), None)
    if problem is not None:
        raise problem
    (source,), (output,) = model.inputs, model.outputs
    parameters, statistics = model.trainable_variables, _statistics(layers)
    moving = {id(one) for one in statistics}
    return CheckedModel(
        keras_model=model,
        parameters=_named(parameters, parameter_names([one.path for one in parameters])),
        statistics=_named(statistics, statistic_names([one.path for one in statistics])),
        example=TensorSpec(source.dtype, tuple(source.shape[1:])),
        output=TensorSpec("float32", tuple(output.shape[1:])),
        layers=frozenset(one.name for one in layers),
        draws=any(layer_rules.draws(one) for one in layers),
        still={id(one): one.value.numpy() for one in model.non_trainable_variables if id(one) not in moving},
    )


def _statistics(layers: Sequence[Any]) -> list[Any]:
    normalisations = [one for one in layers if isinstance(one, keras.layers.BatchNormalization) and one.trainable]
    return [variable for layer in normalisations for variable in layer.non_trainable_weights]


def _named(variables: Sequence[Any], names: Sequence[str]) -> tuple[ModelVariable, ...]:
    return tuple(
        ModelVariable(name, variable.path, variable.value.numpy(), variable)
        for name, variable in zip(names, variables, strict=True)
    )
