"""Federated computations written in Python: what is computed where, for any number of clients.

The names are TensorFlow Federated's. Importing this loads no TensorFlow; the first local computation does.
"""

import importlib
from typing import Any

from federated.backends.serialization import deserialize_computation, serialize_computation
from federated.backends.tf_computation import tf_computation
from federated.compiler.collections import on_device
from federated.contexts.entering import compiled, fleet_context, load_compiled, local_context, plan_context
from federated.language.computation import Computation, federated_computation
from federated.language.operators import (
    federated_aggregate,
    federated_broadcast,
    federated_eval,
    federated_map,
    federated_max,
    federated_mean,
    federated_min,
    federated_secure_modular_sum,
    federated_secure_sum,
    federated_secure_sum_bitwidth,
    federated_select,
    federated_sum,
    federated_value,
    federated_zip,
    sequence_map,
    sequence_reduce,
    sequence_sum,
)
from federated.language.placements import CLIENTS, SERVER
from federated.language.structures import Struct
from federated.language.types import (
    FederatedType,
    FunctionType,
    SequenceType,
    StructType,
    StructWithPythonType,
    TensorType,
    Type,
    to_type,
)
from federated.language.values import Value, to_value

__all__ = [
    "CLIENTS",
    "SERVER",
    "Computation",
    "FederatedType",
    "FunctionType",
    "SequenceType",
    "Struct",
    "StructType",
    "StructWithPythonType",
    "TensorType",
    "Type",
    "Value",
    "compiled",
    "deserialize_computation",
    "federated_aggregate",
    "federated_broadcast",
    "federated_computation",
    "federated_eval",
    "federated_map",
    "federated_max",
    "federated_mean",
    "federated_min",
    "federated_secure_modular_sum",
    "federated_secure_sum",
    "federated_secure_sum_bitwidth",
    "federated_select",
    "federated_sum",
    "federated_value",
    "federated_zip",
    "fleet_context",
    "load_compiled",
    "local_context",
    "on_device",
    "plan_context",
    "sequence_map",
    "sequence_reduce",
    "sequence_sum",
    "serialize_computation",
    "tf_computation",
    "to_type",
    "to_value",
]

_ROOMS = ("aggregators", "analytics", "learning")


def __getattr__(name: str) -> Any:
    # The rooms above the language are loaded when they are first entered.
    if name in _ROOMS:
        return importlib.import_module(f"federated.{name}")
    raise AttributeError(f"module 'federated' has no attribute {name!r}")
