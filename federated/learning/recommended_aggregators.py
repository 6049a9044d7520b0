"""Aggregators of model updates with the settings that TensorFlow Federated recommends, for `model_aggregator=`.

Updates whose largest element is beyond a multiple of what nearly all clients have become zero; those longer than four
fifths of the others are clipped to that length. Both bounds follow the clients (`federated.aggregators.quantile`).
"""

import math

from federated.aggregators.clipping import clipping_factory
from federated.aggregators.differential_privacy import DifferentiallyPrivateFactory
from federated.aggregators.mean import MeanFactory, UnweightedMeanFactory
from federated.aggregators.process import AggregationFactory
from federated.aggregators.quantile import PrivateQuantileEstimationProcess
from federated.aggregators.secure import SecureSumFactory
from federated.aggregators.uniform_quantization import EncodedSumFactory
from federated.aggregators.zeroing import zeroing_factory


def robust_aggregator(*, zeroing: bool = True, clipping: bool = True, weighted: bool = True) -> AggregationFactory:
    """The mean of updates that adaptive zeroing and clipping have bounded: against broken clients, not against attacks.

    `fed.aggregators.RobustMeanFactory` withstands some of those.
    """
    return _bounded(MeanFactory() if weighted else UnweightedMeanFactory(), zeroing, clipping)


def compression_aggregator(*, zeroing: bool = True, clipping: bool = True, weighted: bool = True) -> AggregationFactory:
    """`robust_aggregator` of updates that cross the network at 8 bits an element, if they have more than 20,000."""
    quantized = EncodedSumFactory.quantize_above_threshold(quantization_bits=8, threshold=20_000)
    mean = MeanFactory(quantized) if weighted else UnweightedMeanFactory(quantized)
    return _bounded(mean, zeroing, clipping)


def secure_aggregator(*, zeroing: bool = True, clipping: bool = True, weighted: bool = True) -> AggregationFactory:
    """`robust_aggregator` by secure sums alone: no one sees a single client's update, weight or bit.

    An element beyond twice an estimate that follows the 0.95 quantile of the clients' largest magnitudes is clipped, as
    is a weight beyond 2^20 − 1. A fleet refuses secure sums as yet.
    """
    no_noise = PrivateQuantileEstimationProcess.no_noise
    bound = no_noise(50.0, target_quantile=0.95, learning_rate=1.0, multiplier=2.0, secure_estimation=True)
    values = SecureSumFactory(bound)
    mean = (
        MeanFactory(values, SecureSumFactory(_LARGEST_WEIGHT, 0.0))
        if weighted
        else UnweightedMeanFactory(values, _SECURE_COUNT)
    )
    return _bounded(mean, zeroing, clipping, is_secure=True)


def dp_aggregator(noise_multiplier: float, clients_per_round: float) -> DifferentiallyPrivateFactory:
    """The mean with noise of updates whose bound follows their median, noised too; for unweighted algorithms.

    Without TensorFlow Federated's zeroing, whose bound follows the clients without noise and would be told to all. It
    is not missed: what is far is clipped to the length of the others, and an orchestrator refuses what is not finite.

    Args:
        noise_multiplier: z, as that of `fed.aggregators.DifferentiallyPrivateFactory.gaussian_adaptive`.
        clients_per_round: how many clients are expected, which the sum is divided by.
    """
    return DifferentiallyPrivateFactory.gaussian_adaptive(noise_multiplier, clients_per_round)


def _bounded(
    factory: AggregationFactory, zeroing: bool, clipping: bool, *, is_secure: bool = False
) -> AggregationFactory:
    no_noise = PrivateQuantileEstimationProcess.no_noise
    count = _SECURE_COUNT if is_secure else None
    if clipping:
        norm = no_noise(1.0, target_quantile=0.8, learning_rate=0.2, secure_estimation=is_secure)
        factory = clipping_factory(norm, factory, clipped_count_sum_factory=count)
    if zeroing:
        norm = no_noise(
            10.0,
            target_quantile=0.98,
            learning_rate=math.log(10.0),
            multiplier=2.0,
            increment=1.0,
            secure_estimation=is_secure,
        )
        factory = zeroing_factory(norm, factory, zeroed_count_sum_factory=count)
    return factory


_SECURE_COUNT = SecureSumFactory(1.0, 0.0, bits=1)
_LARGEST_WEIGHT = float(2**20 - 1)  # on a grid of 20 bits whole numbers of examples stay what they are
