"""Keras models and TensorFlow functions become TFLite files that train with builtin ops only, and plans around them.

TensorFlow is loaded when one of the names below is first used, not when the package is imported.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_export.errors import (
        ExportError,
        FunctionError,
        UnsupportedModelError,
        UnsupportedOpError,
        VerificationError,
    )
    from model_export.export import ExportedModel, export_model
    from model_export.function import ExportedFunctions, Function
    from model_export.function_export import export_function, export_functions
    from model_export.learning import learning_plan
    from model_export.lowering.registry import register_lowering

__all__ = [
    "ExportError",
    "ExportedFunctions",
    "ExportedModel",
    "Function",
    "FunctionError",
    "UnsupportedModelError",
    "UnsupportedOpError",
    "VerificationError",
    "export_function",
    "export_functions",
    "export_model",
    "learning_plan",
    "register_lowering",
]

_HOMES = {
    "ExportError": "model_export.errors",
    "ExportedFunctions": "model_export.function",
    "ExportedModel": "model_export.export",
    "Function": "model_export.function",
    "FunctionError": "model_export.errors",
    "UnsupportedModelError": "model_export.errors",
    "UnsupportedOpError": "model_export.errors",
    "VerificationError": "model_export.errors",
    "export_function": "model_export.function_export",
    "export_functions": "model_export.function_export",
    "export_model": "model_export.export",
    "learning_plan": "model_export.learning",
    "register_lowering": "model_export.lowering.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'model_export' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
