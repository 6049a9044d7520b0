"""The mean and the variance over all readings of all sensors, in one round.

Sensors send how many readings they have, their sum and the sum of their squares: an aggregation of one's own, whose
accumulator holds the three. Readings are taken relative to a guess of the mean, because E[x²] − E[x]² cancels.
"""

import collections
from typing import Any

import numpy as np
import tensorflow as tf

import federated as fed

Moments = collections.OrderedDict[str, Any]

ZERO = collections.OrderedDict(count=np.float32(0), total=np.float32(0), squares=np.float32(0))


@fed.tf_computation(fed.SequenceType(np.float32), np.float32)
def moments_of(readings: tf.data.Dataset, guess: tf.Tensor) -> Moments:
    """`(<float32*,float32> -> <count=float32,total=float32,squares=float32>)` of the readings less the guess."""

    def add(moments: Moments, reading: tf.Tensor) -> Moments:
        off = reading - guess
        return collections.OrderedDict(
            count=moments["count"] + 1.0, total=moments["total"] + off, squares=moments["squares"] + off * off
        )

    return readings.reduce(collections.OrderedDict(count=0.0, total=0.0, squares=0.0), add)


@fed.tf_computation
def merge(a: Moments, b: Moments) -> Moments:
    """The moments of two groups of sensors together."""
    return collections.OrderedDict((name, a[name] + b[name]) for name in a)


@fed.tf_computation
def report(moments: Moments) -> Moments:
    """The mean, still relative to the guess, and the variance."""
    mean = moments["total"] / moments["count"]
    return collections.OrderedDict(mean=mean, variance=moments["squares"] / moments["count"] - mean * mean)


@fed.tf_computation
def shift(statistics: Moments, guess: tf.Tensor) -> Moments:
    """The mean on its own."""
    return collections.OrderedDict(mean=statistics["mean"] + guess, variance=statistics["variance"])


@fed.federated_computation(
    fed.FederatedType(fed.SequenceType(np.float32), fed.CLIENTS),
    fed.FederatedType(np.float32, fed.SERVER),
)
def mean_and_variance(readings: fed.Value, guess: fed.Value) -> fed.Value:
    """`(<readings={float32*}@CLIENTS,guess=float32@SERVER> -> <mean=float32,variance=float32>@SERVER)`."""
    moments = fed.federated_map(moments_of, (readings, fed.federated_broadcast(guess)))
    statistics = fed.federated_aggregate(moments, ZERO, merge, merge, report)
    return fed.federated_map(shift, (statistics, guess))


if __name__ == "__main__":
    statistics = mean_and_variance([[18.2, 19.5, 21.0], [22.4], [17.9, 25.3]], 20.0)
    print(f"mean {statistics['mean']:.4f}, variance {statistics['variance']:.4f}")
