"""Reads and writes the records of a TFLite file. Needs the schema that ai-edge-litert brings, not TensorFlow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flatbuffers
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
_ALIGNMENT = 16  # of a constant's numbers, as the schema's `force_align` says and the generated writer forgets


class _Builder(flatbuffers.Builder):  # type: ignore[misc]  # it comes without types
    """A builder that lays vectors of bytes where runtimes may look at them as numbers."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803 - its base's names
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)


def read(tflite: bytes) -> Any:
    """The file's root record.

    Raises:
        ProgramFileError: the bytes are not a TFLite file.
    """
    try:
        return schema.ModelT.InitFromPackedBuf(tflite, 0)
    except Exception as error:  # whatever the generated reader stumbles over
        raise ProgramFileError((f"{len(tflite)} bytes are not a TFLite file ({error})",)) from error


def write(model: Any) -> bytes:
    """The file of a root record."""
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def changed(tflite: bytes, *passes: Callable[[Any], bool]) -> bytes:
    """The file after passes over its root record, each of which says whether it changed it; the same bytes if none did.

    Raises:
        ProgramFileError: the bytes are not a TFLite file.
    """
    model = read(tflite)
    changes = [one(model) for one in passes]
    return write(model) if any(changes) else tflite


def add_tensor(graph: Any, type_: int, sizes: Sequence[int], name: bytes) -> int:
    """The number of a new tensor of a subgraph, which an op computes. Its type is one of the schema's `TensorType`."""
    graph.tensors.append(schema.TensorT(np.array(sizes, np.int32), type_, 0, name, hasRank=True))
    return len(graph.tensors) - 1


def add_reshape(model: Any, graph: Any, source: int, made: int) -> Any:
    """A RESHAPE of one tensor of a subgraph into another of its tensors, still to be given a place among the ops."""
    sizes = np.array(shape(graph.tensors[made]), np.int32)
    model.buffers.append(schema.BufferT(data=np.frombuffer(sizes.tobytes(), np.uint8)))
    wanted = add_tensor(graph, schema.TensorType.INT32, sizes.shape, b"shape")
    graph.tensors[wanted].buffer = len(model.buffers) - 1
    return schema.OperatorT(
        opcodeIndex=_code(model, "RESHAPE"),
        inputs=np.array([source, wanted], np.int32),
        outputs=np.array([made], np.int32),
        builtinOptionsType=schema.BuiltinOptions.ReshapeOptions,
        builtinOptions=schema.ReshapeOptionsT(newShape=sizes),
    )


def add_copy(model: Any, graph: Any, tensor: int) -> Any:
    """A RESHAPE of a tensor to its own shape, still to be given a place among the ops."""
    of = graph.tensors[tensor]
    return add_reshape(model, graph, tensor, add_tensor(graph, of.type, shape(of), b"copy"))


def _code(model: Any, name: str) -> int:
    """The number of a kind of op in the file, which learns it if it must."""
    names = op_names(model)
    if name not in names:
        code = getattr(schema.BuiltinOperator, name)
        model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code))
        return len(names)
    return names.index(name)


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
