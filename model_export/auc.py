"""The area under a curve of true and false positives, from a histogram that any number of devices can add up.

Keras counts, for each of T thresholds t, the positive and negative examples whose output is above t. Two counts hold
all four of its own, for every output is above the first threshold, which is below 0:

    true_positives[t]  = Σ w y [p > t]             false_negatives[t] = true_positives[0] − true_positives[t]
    false_positives[t] = Σ w (1 − y) [p > t]       true_negatives[t]  = false_positives[0] − false_positives[t]

The area itself is Keras's own code on the sums. Davis and Goadrich, "The relationship between precision-recall and ROC
curves" (2006), for its interpolation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import UnsupportedModelError
from model_export.names import slug
from wire.tensors import Tensors, TensorSpec

_COUNTS = ("true_positives", "false_positives")
_REMEDY = "use keras.metrics.AUC() on labels that are one number for one output"


@dataclass(frozen=True)
class AreaUnderCurve:
    """A `keras.metrics.AUC` as a device counts for it: two vectors, an entry a threshold."""

    name: str
    metric: Any

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the two counts."""
        return tuple(f"{self.name}_{count}" for count in _COUNTS)

    def values(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """What every example adds to the counts, each [batch, thresholds]."""
        p = tf.reshape(tf.sigmoid(outputs) if self.metric._from_logits else outputs, [outputs.shape[0], -1, 1])
        y = tf.reshape(labels, p.shape)
        above = tf.sign(tf.nn.relu(self._distances(p)))
        return dict(zip(self.measured, (tf.reduce_sum(one * above, 1) for one in (y, 1.0 - y)), strict=True))

    def sums_in_keras(self, labels: Any, outputs: Any) -> dict[str, Any]:
        """The two counts over a batch, as Keras counts them."""
        start = [tf.convert_to_tensor(tf.zeros(one.shape)) for one in self.metric.variables]
        counted = self.metric.stateless_update_state(start, labels, outputs)
        by_name = {one.name: value for one, value in zip(self.metric.variables, counted, strict=True)}
        return {name: by_name[count] for name, count in zip(self.measured, _COUNTS, strict=True)}

    def finished(self, sums: Tensors, count: float) -> float:
        """The area, from the counts over all batches."""
        true, false = (np.asarray(sums[name], np.float32) for name in self.measured)
        four = {
            "true_positives": true,
            "false_negatives": true[0] - true,
            "false_positives": false,
            "true_negatives": false[0] - false,
        }
        return float(self.metric.stateless_result([tf.constant(four[one.name]) for one in self.metric.variables]))

    def _distances(self, p: Any) -> Any:
        """Above 0 where Keras takes an output to be above a threshold: with even ones it asks for p (T − 1) > t."""
        thresholds = np.array(self.metric.thresholds, np.float32)
        if not self.metric._thresholds_distributed_evenly:
            return p - thresholds
        last = len(thresholds) - 1
        return p * float(last) - np.array([-1, *range(1, last + 1)], np.float32)


def resolve(metric: Any, name: str, labels: TensorSpec, output: TensorSpec) -> AreaUnderCurve:
    """The counts for a `keras.metrics.AUC`.

    Raises:
        UnsupportedModelError: it keeps more than one histogram, or labels and outputs are not alike.
    """
    where = f"metric {name!r}"
    if metric.multi_label or metric.label_weights is not None:
        raise UnsupportedModelError(where, "multi_label and label_weights are not exported", _REMEDY)
    if np.prod(labels.shape) != np.prod(output.shape):
        raise UnsupportedModelError(where, f"its labels are {labels} and its outputs {output}", _REMEDY)
    own = type(metric).from_config(metric.get_config())
    return AreaUnderCurve(slug(name), own)
