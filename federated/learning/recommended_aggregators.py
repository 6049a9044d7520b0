"""Aggregators of model updates with the settings that TensorFlow Federated recommends, for `model_aggregator=`.

Updates whose largest element is beyond a multiple of what nearly all clients have become zero; those longer than four
fifths of the others are clipped to that length. Both bounds follow the clients (`federated.aggregators.quantile`).
"""

import math

from federated.aggregators.clipping import clipping_factory
from federated.aggregators.mean import MeanFactory, UnweightedMeanFactory
from federated.aggregators.process import AggregationFactory
from federated.aggregators.quantile import PrivateQuantileEstimationProcess
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


def _bounded(factory: AggregationFactory, zeroing: bool, clipping: bool) -> AggregationFactory:
    no_noise = PrivateQuantileEstimationProcess.no_noise
    if clipping:
        factory = clipping_factory(no_noise(1.0, target_quantile=0.8, learning_rate=0.2), factory)
    if zeroing:
        norm = no_noise(10.0, target_quantile=0.98, learning_rate=math.log(10.0), multiplier=2.0, increment=1.0)
        factory = zeroing_factory(norm, factory)
    return factory
