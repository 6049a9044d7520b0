"""The mean of what every sensor measured last."""

import numpy as np

import federated as fed


@fed.federated_computation(fed.FederatedType(np.float32, fed.CLIENTS))
def average_temperature(readings: fed.Value) -> fed.Value:
    """`({float32}@CLIENTS -> float32@SERVER)`, in degrees Celsius."""
    return fed.federated_mean(readings)


if __name__ == "__main__":
    print(average_temperature([20.5, 21.0, 19.1]))
