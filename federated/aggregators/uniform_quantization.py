"""Uniform quantisation: a float32 becomes one of 2^b steps between the smallest and the largest around it.

Suresh, Yu, Kumar and McMahan, "Distributed Mean Estimation with Limited Communication" (2017), section 2.2, stochastic
k-level quantisation with k = 2^b: with the step s = (max − min) / (k − 1), and u uniform within 0 and 1,

    q = ⌊(x − min) / s + u⌋        x̂ = min + s q,        so that E x̂ = x

A vector is cut into blocks of 256, each with a min and a max of its own, as the buckets of Alistarh et al., "QSGD"
(2017), section 4: an update costs b + ¼ bits an element.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, final

from federated.aggregators.encoded import encoded_sum, length_of
from federated.aggregators.process import AggregationProcess, check_floats, check_weight
from federated.aggregators.sums import SumFactory
from federated.language.errors import MisuseError
from federated.language.types import Type

_BLOCK = 256
_SMALLEST = 1e-30
_MOST_BITS = 8


@final
@dataclass(frozen=True)
class EncodedSumFactory:
    """The sum of quantised values; see the module's description.

    Attributes:
        quantization_bits: b, from 1 to 8.
        threshold: values of no more elements are summed as they are.
    """

    quantization_bits: int = 8
    threshold: int = 0
    is_weighted = False

    @classmethod
    def quantize_above_threshold(cls, quantization_bits: int = 8, threshold: int = 20_000) -> "EncodedSumFactory":
        """Quantise what has more elements than the threshold."""
        return cls(quantization_bits, threshold)

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("EncodedSumFactory", value_type)
        if not 1 <= self.quantization_bits <= _MOST_BITS:
            raise MisuseError(f"quantization_bits is within 1 and {_MOST_BITS}, found {self.quantization_bits}")
        length = length_of(value_type)
        if length <= self.threshold:
            return SumFactory().create(value_type)
        bits = self.quantization_bits
        return encoded_sum(value_type, lambda x, t: _encode(x, t, bits), lambda message: _decode(message, bits, length))


def _encode(vector: Any, round_number: Any, bits: int) -> Any:
    from federated.backends.mathematics import floor, maximum, minimum
    from federated.backends.vectors import blocks, key_of, packed, random_uniform, row_extremes

    x = blocks(vector, _BLOCK)
    lowest, highest = row_extremes(x)
    levels = 2**bits - 1
    step = (highest - lowest) * (1 / levels)
    u = random_uniform(x.shape, key_of(vector, round_number))
    q = minimum(floor((x - lowest) / maximum(step, _SMALLEST) + u), levels)
    return OrderedDict(codes=packed(q, bits), lowest=lowest, step=step)


def _decode(message: Any, bits: int, length: int) -> Any:
    from federated.backends.vectors import unblocked, unpacked

    q = unpacked(message["codes"], bits, _BLOCK)
    return unblocked(message["lowest"] + message["step"] * q, length)
