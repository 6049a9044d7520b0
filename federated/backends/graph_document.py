"""A TensorFlow graph as bytes and back: the body of a local computation in a document.

What comes from outside is checked before it can run: the graph fits its type, and no operation in it reaches files,
the network or Python.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from federated.backends.structured import flat_specs
from federated.language.errors import DocumentError, MisuseError
from federated.language.literals import WrittenArray, read_array, written_array
from federated.language.origin import Origin
from federated.language.types import FunctionType
from wire import codec
from wire.errors import MessageError

_REACHES_OUT = """
    PyFunc PyFuncStateless EagerPyFunc GeneratorDataset ReadFile WriteFile MatchingFiles ImmutableConst PrintV2
    Save SaveV2 SaveSlices Restore RestoreV2 RestoreSlice MergeV2Checkpoints WholeFileReader WholeFileReaderV2
    TFRecordReader TFRecordReaderV2 TextLineReader TextLineReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2
    LMDBReader TextLineDataset TFRecordDataset TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2
    CSVDataset CSVDatasetV2 SqlDataset LMDBDataset SaveDataset SaveDatasetV2 LoadDataset SnapshotDataset
    SnapshotDatasetV2 SnapshotDatasetReader CacheDataset CacheDatasetV2 DatasetToTFRecord DataServiceDataset
    DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 RpcCall RpcServer LookupTableExport
    InitializeTableFromTextFile InitializeTableFromTextFileV2 DebugIdentity DebugIdentityV2 DebugIdentityV3
    CreateSummaryFileWriter CreateSummaryDbWriter XlaLaunch CustomCall Send Recv _Send _Recv _HostSend _HostRecv
"""
_REFUSED_OPS = frozenset(_REACHES_OUT.split())


@dataclass(frozen=True)
class _Graph:
    """A body as it is written; tensors and operations are TensorFlow's names."""

    name: str
    graph: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    controls: tuple[str, ...]
    captures: dict[str, WrittenArray]


def written(name: str, graph: Any, where: Origin | None) -> bytes:
    """The bytes of a function's graph, with the constants that it captured.

    Raises:
        MisuseError: something in it lives in this process alone.
    """
    definition = graph.as_graph_def()
    _refuse_python(name, definition, where)
    captures = {inside.name: _captured(name, outside, where) for outside, inside in graph.captures}
    return codec.dumps(
        _Graph(
            name=name,
            graph=base64.b64encode(definition.SerializeToString(deterministic=True)).decode(),
            inputs=tuple(tensor.name for tensor in graph.inputs[: len(graph.inputs) - len(captures)]),
            outputs=tuple(tensor.name for tensor in graph.outputs),
            controls=tuple(operation.name for operation in graph.control_outputs),
            captures=captures,
        )
    )


def read(type_: FunctionType, data: bytes) -> tuple[str, Any]:
    """The name of a body, and its function: the flat inputs give `{"outputs": …, "controls": …}`.

    Raises:
        DocumentError: the bytes are damaged, or the graph does not fit the type.
    """
    try:
        document = codec.loads(_Graph, data)
        definition = _definition(base64.b64decode(document.graph, validate=True))
    except (MessageError, binascii.Error, ValueError) as error:
        raise DocumentError(f"a local computation can't be read: {error}") from None
    _refuse_reaching_out(document.name, definition)
    try:
        function = _function(document, definition)
    except DocumentError:
        raise
    except Exception as error:  # TensorFlow has many, without a root of their own, for a graph that is none
        raise DocumentError(f"the graph of {document.name!r} can't be read: {error}") from None
    _check_fits(document.name, type_, function)
    return document.name, function


def _definition(data: bytes) -> Any:
    try:
        return tf.compat.v1.GraphDef.FromString(data)
    except Exception as error:  # protobuf's DecodeError, which is no ValueError
        raise ValueError(f"expected a graph: {error}") from None


def _function(document: _Graph, definition: Any) -> Any:
    arrays = {name: read_array(array, f"$.captures[{name!r}]") for name, array in document.captures.items()}

    def imported() -> None:
        captures = {name: tf.constant(array) for name, array in arrays.items()}
        tf.graph_util.import_graph_def(definition, input_map=captures, name="")

    wrapped = tf.compat.v1.wrap_function(imported, [])
    tensor, operation = wrapped.graph.get_tensor_by_name, wrapped.graph.get_operation_by_name
    fetches = {
        "outputs": [tensor(name) for name in document.outputs],
        "controls": [operation(name) for name in document.controls],
    }
    return wrapped.prune([tensor(name) for name in document.inputs], fetches)


def _check_fits(name: str, type_: FunctionType, function: Any) -> None:
    for part, expected, found in (
        ("inputs", flat_specs(type_.parameter), function.inputs),
        ("outputs", flat_specs(type_.result), function.structured_outputs["outputs"]),
    ):
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in found]
        fit = len(specs) == len(expected) and all(
            one.dtype == other.dtype and one.shape.is_compatible_with(other.shape)
            for one, other in zip(expected, specs, strict=True)
        )
        if not fit:
            raise DocumentError(f"the graph of {name!r} does not have the {part} of its type {type_}")


def _operations(definition: Any) -> set[str]:
    functions = [node for function in definition.library.function for node in function.node_def]
    return {node.op for node in (*definition.node, *functions)}


def _refuse_python(name: str, definition: Any, where: Origin | None) -> None:
    if python := sorted(op for op in _operations(definition) if "PyFunc" in op or op == "GeneratorDataset"):
        raise MisuseError(
            f"the local computation {name!r} calls back into Python ({', '.join(python)}), which can't be written down",
            where=where,
            fix="write it in TensorFlow's operations",
        )


def _refuse_reaching_out(name: str, definition: Any) -> None:
    if refused := sorted(_operations(definition) & _REFUSED_OPS):
        raise DocumentError(
            f"the graph of {name!r} reaches out of the computation: {', '.join(refused)}",
            fix="a loaded computation may only compute; read data before it, and give it as an argument",
        )


def _captured(name: str, outside: Any, where: Origin | None) -> WrittenArray:
    if outside.dtype in (tf.resource, tf.variant) or not hasattr(outside, "numpy"):
        raise MisuseError(
            f"the local computation {name!r} uses something made outside of it that can't be written down, of the "
            f"dtype {outside.dtype.name}",
            where=where,
            fix="make the table or the data set inside the function, or take it as an argument",
        )
    value = np.asarray(outside.numpy())
    return written_array(np.vectorize(tf.compat.as_str_any, otypes=[str])(value) if value.dtype == object else value)
