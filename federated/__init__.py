"""Federated computations written in Python: what is computed where, for any number of clients.

The names are TensorFlow Federated's. Nothing is loaded before it is used, TensorFlow last of all: with the first local
computation.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from federated.backends.serialization import deserialize_computation, serialize_computation
    from federated.backends.tf_computation import tf_computation
    from federated.compiler.collections import on_device
    from federated.contexts.entering import compiled, fleet_context, load_compiled, local_context, plan_context
    from federated.language.computation import Computation, federated_computation
    from federated.language.errors import (
        CompilationError,
        ExecutionError,
        FederatedError,
        MisuseError,
        PlacementError,
        TypeMismatchError,
        ValueMismatchError,
    )
    from federated.language.operators import (
        federated_aggregate,
        federated_broadcast,
        federated_correlated_noised_sum,
        federated_eval,
        federated_map,
        federated_map_with_state,
        federated_max,
        federated_mean,
        federated_min,
        federated_noised_sum,
        federated_robust_mean,
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
    "CompilationError",
    "Computation",
    "ExecutionError",
    "FederatedError",
    "FederatedType",
    "FunctionType",
    "MisuseError",
    "PlacementError",
    "SequenceType",
    "Struct",
    "StructType",
    "StructWithPythonType",
    "TensorType",
    "Type",
    "TypeMismatchError",
    "Value",
    "ValueMismatchError",
    "compiled",
    "deserialize_computation",
    "federated_aggregate",
    "federated_broadcast",
    "federated_computation",
    "federated_correlated_noised_sum",
    "federated_eval",
    "federated_map",
    "federated_map_with_state",
    "federated_max",
    "federated_mean",
    "federated_min",
    "federated_noised_sum",
    "federated_robust_mean",
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

_HOMES = {
    "CLIENTS": "federated.language.placements",
    "CompilationError": "federated.language.errors",
    "Computation": "federated.language.computation",
    "ExecutionError": "federated.language.errors",
    "FederatedError": "federated.language.errors",
    "FederatedType": "federated.language.types",
    "FunctionType": "federated.language.types",
    "MisuseError": "federated.language.errors",
    "PlacementError": "federated.language.errors",
    "SERVER": "federated.language.placements",
    "SequenceType": "federated.language.types",
    "Struct": "federated.language.structures",
    "StructType": "federated.language.types",
    "StructWithPythonType": "federated.language.types",
    "TensorType": "federated.language.types",
    "Type": "federated.language.types",
    "TypeMismatchError": "federated.language.errors",
    "Value": "federated.language.values",
    "ValueMismatchError": "federated.language.errors",
    "compiled": "federated.contexts.entering",
    "deserialize_computation": "federated.backends.serialization",
    "federated_aggregate": "federated.language.operators",
    "federated_broadcast": "federated.language.operators",
    "federated_computation": "federated.language.computation",
    "federated_correlated_noised_sum": "federated.language.operators",
    "federated_eval": "federated.language.operators",
    "federated_map": "federated.language.operators",
    "federated_map_with_state": "federated.language.operators",
    "federated_max": "federated.language.operators",
    "federated_mean": "federated.language.operators",
    "federated_min": "federated.language.operators",
    "federated_noised_sum": "federated.language.operators",
    "federated_robust_mean": "federated.language.operators",
    "federated_secure_modular_sum": "federated.language.operators",
    "federated_secure_sum": "federated.language.operators",
    "federated_secure_sum_bitwidth": "federated.language.operators",
    "federated_select": "federated.language.operators",
    "federated_sum": "federated.language.operators",
    "federated_value": "federated.language.operators",
    "federated_zip": "federated.language.operators",
    "fleet_context": "federated.contexts.entering",
    "load_compiled": "federated.contexts.entering",
    "local_context": "federated.contexts.entering",
    "on_device": "federated.compiler.collections",
    "plan_context": "federated.contexts.entering",
    "sequence_map": "federated.language.operators",
    "sequence_reduce": "federated.language.operators",
    "sequence_sum": "federated.language.operators",
    "serialize_computation": "federated.backends.serialization",
    "tf_computation": "federated.backends.tf_computation",
    "to_type": "federated.language.types",
    "to_value": "federated.language.values",
}
_ROOMS = ("aggregators", "analytics", "learning", "simulation")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"federated.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'federated' has no attribute {name!r}")
    importlib.import_module("federated.contexts.entering")  # so that there is a context to run in
    found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
