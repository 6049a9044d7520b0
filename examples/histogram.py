"""How many readings fall between which bounds, over all the readings that all sensors have kept.

Each sensor goes through its own readings one by one, and only its counts leave it.
"""

import numpy as np
import tensorflow as tf

import federated as fed

BINS = 8


@fed.tf_computation((np.int32, [BINS]), np.float32, np.float32, np.float32)
def count_one(counts: tf.Tensor, reading: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """One more reading in its bin; those outside the bounds count in the first or the last one."""
    place = tf.cast((reading - lowest) / (highest - lowest) * BINS, tf.int32)
    return counts + tf.one_hot(tf.clip_by_value(place, 0, BINS - 1), BINS, dtype=tf.int32)


@fed.federated_computation(
    fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS),
    fed.FederatedType(np.float32, fed.SERVER),
    fed.FederatedType(np.float32, fed.SERVER),
)
def histogram(readings: fed.Value, lowest: fed.Value, highest: fed.Value) -> fed.Value:
    """`(<readings={float32*}@CLIENTS,lowest=float32@SERVER,highest=float32@SERVER> -> int32[8]@SERVER)`."""

    def counts_of(sensor: fed.Value) -> fed.Value:
        own, low, high = sensor
        zero = np.zeros(BINS, np.int32)
        return fed.sequence_reduce(own, zero, lambda pair: count_one(pair[0], pair[1], low, high))

    at_sensors = fed.federated_broadcast(lowest), fed.federated_broadcast(highest)
    return fed.federated_sum(fed.federated_map(counts_of, (readings, *at_sensors)))


if __name__ == "__main__":
    print(histogram([[18.2, 19.5, 21.0], [22.4], [17.9, 25.3]], 16.0, 24.0))
