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
    """`robust_aggregator` of updates of which no one sees a single client's: the sums of the mean are secure ones.

    An element beyond twice an estimate that follows the 0.95 quantile of the clients' largest magnitudes is clipped. A
    fleet refuses it as yet.
    """
    bound = PrivateQuantileEstimationProcess.no_noise(50.0, target_quantile=0.95, learning_rate=1.0, multiplier=2.0)
    secure = SecureSumFactory(bound)
    mean = MeanFactory(secure) if weighted else UnweightedMeanFactory(secure)
    return _bounded(mean, zeroing, clipping)


def dp_aggregator(noise_multiplier: float, clients_per_round: float) -> DifferentiallyPrivateFactory:
    """The mean with noise of updates whose bound follows their median, noised too; for unweighted algorithms.

    Without TensorFlow Federated's zeroing, whose bound follows the clients without noise and would be told to all. It
    is not missed: what is far is clipped to the length of the others, and an orchestrator refuses what is not finite.

    Args:
        noise_multiplier: z, as that of `fed.aggregators.DifferentiallyPrivateFactory.gaussian_adaptive`.
        clients_per_round: how many clients are expected, which the sum is divided by.
    """
    return DifferentiallyPrivateFactory.gaussian_adaptive(noise_multiplier, clients_per_round)


def _bounded(factory: AggregationFactory, zeroing: bool, clipping: bool) -> AggregationFactory:
    no_noise = PrivateQuantileEstimationProcess.no_noise
    if clipping:
        factory = clipping_factory(no_noise(1.0, target_quantile=0.8, learning_rate=0.2), factory)
    if zeroing:
        norm = no_noise(10.0, target_quantile=0.98, learning_rate=math.log(10.0), multiplier=2.0, increment=1.0)
        factory = zeroing_factory(norm, factory)
    return factory
