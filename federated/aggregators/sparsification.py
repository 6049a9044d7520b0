"""Top-k sparsification: a client sends its k largest elements and their places, zero stands for the rest.

Aji and Heafield, "Sparse Communication for Distributed Gradient Descent" (2017). What is not sent is lost, so that the
sum is biased and k must not be too small, unless clients keep it and add it to their next update: error feedback, which
`federated.aggregators.encoded` describes.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, final

from federated.aggregators.encoded import encoded_sum, length_of
from federated.aggregators.process import AggregationProcess, check_floats, check_weight
from federated.language.errors import MisuseError
from federated.language.types import Type


@final
@dataclass(frozen=True)
class TopKFactory:
    """The sum of the clients' largest elements.

    Attributes:
        fraction: how much of a value is sent, above 0 and up to 1; k is rounded up.
        error_feedback: whether a client keeps what it did not send for the next time it takes part.
    """

    fraction: float
    error_feedback: bool = False
    is_weighted = False

    def create(self, value_type: Type, weight_type: Type | None = None) -> AggregationProcess:
        """See `AggregationFactory`."""
        check_weight(self, weight_type)
        check_floats("TopKFactory", value_type)
        if not 0 < self.fraction <= 1:
            raise MisuseError(f"TopKFactory's fraction is above 0 and up to 1, found {self.fraction}")
        length = length_of(value_type)
        k = math.ceil(self.fraction * length)
        return encoded_sum(
            value_type,
            lambda x, _: _encode(x, k),
            lambda message: _decode(message, length),
            error_feedback=self.error_feedback,
        )


def _encode(vector: Any, k: int) -> Any:
    from federated.backends.vectors import largest

    values, places = largest(vector, k)
    return OrderedDict(values=values, places=places)


def _decode(message: Any, length: int) -> Any:
    from federated.backends.vectors import scattered

    return scattered(message["values"], message["places"], length)
