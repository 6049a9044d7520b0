"""Makes the computations that every version must read: `python -m tests.golden.make_computations`.

`average.computation` holds no local computation, so that it is the same bytes wherever it is written;
`fraction_over.computation` has two TensorFlow graphs, whose bytes are those of the TensorFlow that wrote them.
"""

from pathlib import Path
from typing import Any

import numpy as np

import federated as fed

AVERAGE = Path(__file__).parent / "average.computation"
FRACTION_OVER = Path(__file__).parent / "fraction_over.computation"

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)


@fed.federated_computation(FLOATS, FLOATS)
def average(readings: Any, weights: Any) -> Any:
    limits = fed.federated_zip((fed.federated_min(readings), fed.federated_max(readings)))
    shifted = fed.federated_zip([readings, fed.federated_value(0.5, fed.CLIENTS)])
    return {"mean": fed.federated_mean(shifted[0], weights, on_zero_weight="nan"), "limits": limits}


def fraction_over() -> Any:
    """The design's first example, and a data set."""
    import tensorflow as tf

    @fed.tf_computation(np.float32, np.float32)
    def is_over(reading: Any, threshold: Any) -> Any:
        return tf.cast(reading > threshold, tf.float32)

    @fed.tf_computation(fed.SequenceType(np.float32))
    def largest(readings: Any) -> Any:
        return readings.reduce(-np.inf, tf.maximum)

    @fed.federated_computation(
        fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS), fed.FederatedType(np.float32, fed.SERVER)
    )
    def fraction_over(readings: Any, threshold: Any) -> Any:
        largest_of_each = fed.federated_map(largest, readings)
        over = fed.federated_map(is_over, (largest_of_each, fed.federated_broadcast(threshold)))
        return fed.federated_mean(over)

    return fraction_over


if __name__ == "__main__":
    AVERAGE.write_bytes(fed.serialize_computation(average))
    FRACTION_OVER.write_bytes(fed.serialize_computation(fraction_over()))
