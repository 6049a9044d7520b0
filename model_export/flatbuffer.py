"""Reads the records of a TFLite file. Needs the schema that ai-edge-litert brings, not TensorFlow."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from model_export.errors import ProgramFileError
from wire.tensors import TensorSpec

_NAMES: Mapping[int, str] = MappingProxyType(
    {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
)
_DTYPES: Mapping[int, str] = MappingProxyType(
    {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
)


def read(tflite: bytes) -> Any:
    """The file's root record.

    Raises:
        ProgramFileError: the bytes are not a TFLite file.
    """
    try:
        return schema.ModelT.InitFromPackedBuf(tflite, 0)
    except Exception as error:  # whatever the generated reader stumbles over
        raise ProgramFileError((f"{len(tflite)} bytes are not a TFLite file ({error})",)) from error


def ops(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, operator, its subgraph) for every op of the file; a custom op is named `CUSTOM:name`."""
    names = op_names(model)
    for graph in model.subgraphs or ():
        for operator in graph.operators or ():
            yield names[operator.opcodeIndex], operator, graph


def op_names(model: Any) -> list[str]:
    """The name of each kind of op that the file uses, by its number in the file."""
    return [_name(code) for code in model.operatorCodes or ()]


def inputs(operator: Any) -> list[int]:
    """The tensors that an op takes, by number; optional ones that are left out are left out."""
    return [int(index) for index in _listed(operator.inputs) if index >= 0]


def outputs(operator: Any) -> list[int]:
    """The tensors that an op gives, by number."""
    return [int(index) for index in _listed(operator.outputs)]


def shape(tensor: Any) -> tuple[int, ...]:
    """A tensor's static shape."""
    return tuple(int(size) for size in _listed(tensor.shape))


def dtype(tensor: Any) -> str:
    """A tensor's dtype as numpy spells it; `resource`, `string` and their like as TFLite does."""
    return _DTYPES[tensor.type]


def spec(tensor: Any) -> TensorSpec | None:
    """A tensor's spec, or None for one that is no array of numbers."""
    try:
        return TensorSpec(dtype(tensor), shape(tensor))
    except ValueError:
        return None


def constant_bytes(model: Any, tensor: Any) -> int:
    """The size of a constant's value in the file; 0 for what is computed."""
    data = model.buffers[tensor.buffer].data
    return 0 if data is None else len(data)


def _name(code: Any) -> str:
    name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM:{code.customCode.decode()}" if name == "CUSTOM" else name


def _listed(values: Any) -> Any:
    return np.zeros(0, np.int32) if values is None else values
