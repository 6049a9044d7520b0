"""Reads a TFLite file and refuses what a device's runtime cannot run, or runs wrongly.

Each rule is a trap that was met and measured: a custom or Flex op fails to load; REVERSE_V2 of several axes is silently
wrong on tflite-runtime 2.14; a rank-0 input crashes LiteRT on ARM; a phone's runtime has no signatures without inputs;
SUM above rank 6 fails in LiteRT, and broadcasts above rank 4 abort tflite-runtime 2.14.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from model_export.errors import ProgramFileError

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_MAX_SUM_RANK = 6
_MAX_BROADCAST_RANK = 4
_ELEMENTWISE = frozenset({"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"})


def check(tflite: bytes) -> None:
    """Refuse a file that breaks a rule; see the module's description.

    Raises:
        ProgramFileError: with every finding.
    """
    model = _read(tflite)
    problems = (*dict.fromkeys([*_op_problems(model), *_signature_problems(model)]),)
    if problems:
        raise ProgramFileError(problems)


def count_ops(tflite: bytes) -> Counter[str]:
    """How often each op stands in a file, over all its signatures; a custom op counts as `CUSTOM:name`."""
    return Counter(name for name, _, _ in _ops(_read(tflite)))


def _read(tflite: bytes) -> Any:
    try:
        return schema.ModelT.InitFromPackedBuf(tflite, 0)
    except Exception as error:  # whatever the generated reader stumbles over
        raise ProgramFileError((f"{len(tflite)} bytes are not a TFLite file ({error})",)) from error


def _ops(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, operator, its subgraph) for every op of the file."""
    names = [_name(code) for code in model.operatorCodes or ()]
    for graph in model.subgraphs or ():
        for operator in graph.operators or ():
            yield names[operator.opcodeIndex], operator, graph


def _name(code: Any) -> str:
    name = _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return f"CUSTOM:{code.customCode.decode()}" if name == "CUSTOM" else name


def _op_problems(model: Any) -> Iterator[str]:
    for name, operator, graph in _ops(model):
        shapes = [_shape(graph.tensors[index]) for index in operator.inputs if index >= 0]
        if name.startswith("CUSTOM:"):
            yield f"{name.removeprefix('CUSTOM:')} is not a builtin op"
        elif name == "REVERSE_V2" and shapes[1] != (1,):
            yield "REVERSE_V2 over several axes is wrong on tflite-runtime 2.14; reverse one axis at a time"
        elif name == "SUM" and len(shapes[0]) > _MAX_SUM_RANK:
            yield f"SUM over a tensor of rank {len(shapes[0])}; at most {_MAX_SUM_RANK} runs"
        elif name in _ELEMENTWISE and shapes[0] != shapes[1] and max(map(len, shapes)) > _MAX_BROADCAST_RANK:
            yield f"{name} broadcasts tensors of rank {max(map(len, shapes))}; at most {_MAX_BROADCAST_RANK} runs"


def _signature_problems(model: Any) -> Iterator[str]:
    if not model.signatureDefs:
        yield "it has no signatures"
    for signature in model.signatureDefs or ():
        name = signature.signatureKey.decode()
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        if not signature.inputs:
            yield f"the signature {name} has no inputs; give it a flag of shape [1]"
        for entry in [*(signature.inputs or ()), *(signature.outputs or ())]:
            yield from _port_problems(f"{name}: {entry.name.decode()}", tensors[entry.tensorIndex])


def _port_problems(where: str, tensor: Any) -> Iterator[str]:
    if not _shape(tensor):
        yield f"{where} has rank 0, which crashes some runtimes; make its shape [1]"
    if tensor.shapeSignature is not None and any(size < 0 for size in tensor.shapeSignature):
        yield f"{where} has an unknown size; every shape must be static"
    if tensor.type == schema.TensorType.STRING:
        yield f"{where} holds strings, which devices do not exchange"


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
