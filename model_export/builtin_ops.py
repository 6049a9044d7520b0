"""Refuses a TFLite file that a device's runtime cannot run, or runs wrongly.

Each rule is a trap that was met and measured: a custom or Flex op fails to load; REVERSE_V2 of several axes is silently
wrong on tflite-runtime 2.14; a rank-0 input crashes LiteRT on ARM; a phone's runtime has no signatures without inputs;
SUM above rank 6 fails in LiteRT, and broadcasts above rank 4 abort tflite-runtime 2.14; an op may be let to write over
numbers that another is still to read; XNNPACK ends the process over an op of one variable with itself, and may lose
numbers where a variable of rank 0 is read.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from model_export import flatbuffer, scalar_variables, shared_memory, variable_twice
from model_export.errors import ProgramFileError
from model_export.flatbuffer import shape

_MAX_SUM_RANK = 6
_MAX_BROADCAST_RANK = 4
_ELEMENTWISE = frozenset({"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM"})


def check(tflite: bytes) -> None:
    """Refuse a file that breaks a rule; see the module's description.

    Raises:
        ProgramFileError: with every finding.
    """
    if problems := find_problems(tflite):
        raise ProgramFileError(problems)


def find_problems(tflite: bytes) -> tuple[str, ...]:
    """A sentence for each rule that a file breaks, each once.

    Raises:
        ProgramFileError: the bytes are not a TFLite file.
    """
    model = flatbuffer.read(tflite)
    return (*dict.fromkeys([*_op_problems(model), *_signature_problems(model), *_memory_problems(model)]),)


def count_ops(tflite: bytes) -> Counter[str]:
    """How often each op stands in a file, over all its signatures; a custom op counts as `CUSTOM:name`."""
    return Counter(name for name, _, _ in flatbuffer.ops(flatbuffer.read(tflite)))


def _op_problems(model: Any) -> Iterator[str]:
    for name, _, _ in variable_twice.find(model):
        yield f"{name} takes one variable twice, which ends the process under XNNPACK; `model_export` prevents that"
    if next(scalar_variables.find_reads(model), None) is not None:
        yield "READ_VARIABLE of rank 0 may make XNNPACK lose numbers; `model_export` gives variables the shape [1]"
    for name, operator, graph in flatbuffer.ops(model):
        shapes = [shape(graph.tensors[index]) for index in flatbuffer.inputs(operator)]
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


def _memory_problems(model: Any) -> Iterator[str]:
    for loss, graph in shared_memory.find_losses(model):
        lost = graph.tensors[loss.lost].name.decode()
        yield f"{loss.op} writes over {lost}, which is read after it; `model_export` prevents that in its own files"


def _port_problems(where: str, tensor: Any) -> Iterator[str]:
    if not shape(tensor):
        yield f"{where} has rank 0, which crashes some runtimes; make its shape [1]"
    if tensor.shapeSignature is not None and any(size < 0 for size in tensor.shapeSignature):
        yield f"{where} has an unknown size; every shape must be static"
    if flatbuffer.dtype(tensor) == "string":
        yield f"{where} holds strings, which devices do not exchange"
