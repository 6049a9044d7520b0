"""The conventional signatures of an exported model: `train`, `evaluate`, `infer`, `save`, `restore`.

    train(x, y, weight)     -> loss                      one step; the weighted mean loss before it
    evaluate(x, y, weight)  -> <metric>_sum, <metric>_count   for the loss and every metric
    infer(x)                -> output
    save(flag)              -> one tensor a parameter
    restore(one tensor a parameter) -> restored          1 when done

Scalars have shape [1] and every signature has an input, because some runtimes can do no less.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from model_export.learner import SCALAR, Learner, Measurement
from model_export.signature import Signature
from plans.client import FLAG


def conventional(learner: Learner) -> tuple[Signature, ...]:
    """The five signatures, which share the learner's variables."""
    return (
        Signature("train", learner.batch, lambda **batch: {"loss": learner.train(**batch).mean_loss}),
        Signature("evaluate", learner.batch, lambda **batch: sums_and_counts(learner.evaluate(**batch))),
        Signature("infer", {"x": learner.batch["x"]}, lambda x: {"output": learner.infer(x)}),
        Signature("save", {FLAG: SCALAR}, lambda flag: save(learner)),
        Signature("restore", learner.parameter_specs, lambda **values: {"restored": restore(learner, values)}),
    )


def save(learner: Learner) -> dict[str, Any]:
    """The parameters' values, by name."""
    return {name: tf.identity(variable) for name, variable in zip(learner.names, learner.parameters, strict=True)}


def restore(learner: Learner, values: Mapping[str, Any]) -> Any:
    """Assign every parameter, and give a 1 of shape [1]."""
    for name, variable in zip(learner.names, learner.parameters, strict=True):
        variable.assign(values[name])
    return tf.ones([1])


def sums_and_counts(measurement: Measurement) -> dict[str, Any]:
    """`<metric>_sum` and `<metric>_count` for all that was measured; a count is the sum of the weights."""
    sums = {f"{name}_sum": value for name, value in measurement.sums.items()}
    return sums | {f"{name}_count": measurement.weight for name in measurement.sums}
