"""Federated learning: models, optimizers and algorithms, all of them computations of the federated language.

The names are TensorFlow Federated's: `fed.learning.algorithms.build_weighted_fed_avg`,
`fed.learning.models.functional_model_from_keras`, `fed.learning.optimizers.build_sgdm`.
"""

import importlib
from typing import Any

_ROOMS = ("algorithms", "models", "optimizers")
_OTHERS = {"ClientWeighting": "weighting"}
_AGGREGATORS = ("compression_aggregator", "dp_aggregator", "robust_aggregator", "secure_aggregator")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"federated.learning.{name}")
    if name in _AGGREGATORS:
        return getattr(importlib.import_module("federated.learning.recommended_aggregators"), name)
    if name in _OTHERS:
        return getattr(importlib.import_module(f"federated.learning.{_OTHERS[name]}"), name)
    raise AttributeError(f"module 'federated.learning' has no attribute {name!r}")
