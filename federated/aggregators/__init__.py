"""Aggregators: factories that nest, and make of the type of the clients' values how these become one.

The names are TensorFlow Federated's where it has them: `fed.aggregators.MeanFactory`,
`fed.aggregators.clipping_factory(1.0, fed.aggregators.MeanFactory())`.
"""

from federated.aggregators.clipping import clipping_factory
from federated.aggregators.differential_privacy import DifferentiallyPrivateFactory, Mechanism
from federated.aggregators.eden import EdenFactory
from federated.aggregators.mean import MeanFactory, UnweightedMeanFactory
from federated.aggregators.process import AggregationFactory, AggregationProcess, MeasuredProcessOutput
from federated.aggregators.quantile import EstimationProcess, PrivateQuantileEstimationProcess
from federated.aggregators.robust import RobustMeanFactory
from federated.aggregators.secure import SecureSumFactory
from federated.aggregators.sparsification import TopKFactory
from federated.aggregators.sums import SumFactory
from federated.aggregators.uniform_quantization import EncodedSumFactory
from federated.aggregators.zeroing import zeroing_factory

__all__ = [
    "AggregationFactory",
    "AggregationProcess",
    "DifferentiallyPrivateFactory",
    "EdenFactory",
    "EncodedSumFactory",
    "EstimationProcess",
    "MeanFactory",
    "MeasuredProcessOutput",
    "Mechanism",
    "PrivateQuantileEstimationProcess",
    "RobustMeanFactory",
    "SecureSumFactory",
    "SumFactory",
    "TopKFactory",
    "UnweightedMeanFactory",
    "clipping_factory",
    "zeroing_factory",
]
