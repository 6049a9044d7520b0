"""The fraction of sensors that measured more than a threshold, which the sensors hear from the server."""

import numpy as np
import tensorflow as tf

import federated as fed


@fed.tf_computation(np.float32, np.float32)
def is_over(reading: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """`(<float32,float32> -> float32)`: 1 where the reading is over the threshold, else 0."""
    return tf.cast(reading > threshold, tf.float32)


@fed.federated_computation(
    fed.FederatedType(np.float32, fed.CLIENTS),
    fed.FederatedType(np.float32, fed.SERVER),
)
def fraction_over(readings: fed.Value, threshold: fed.Value) -> fed.Value:
    """`(<readings={float32}@CLIENTS,threshold=float32@SERVER> -> float32@SERVER)`."""
    at_sensors = fed.federated_broadcast(threshold)
    return fed.federated_mean(fed.federated_map(is_over, (readings, at_sensors)))


if __name__ == "__main__":
    print(fraction_over([68.5, 70.3, 71.1, 69.8], 70.0))
