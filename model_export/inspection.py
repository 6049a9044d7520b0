"""What a TFLite file holds: its signatures, ops and variables, and about how much memory they will take.

The memory of a signature is what its tensors need while it runs, each from the op that makes it to the last that reads
it: what a runtime with a perfect allocator would take. A delegate takes more, for copies and packed matrices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_export import builtin_ops, flatbuffer
from wire.tensors import TensorSpec


@dataclass(frozen=True)
class SignatureContents:
    """One signature: what it takes and gives, by name, its ops, and the most bytes its tensors take at once."""

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    ops: int
    peak_tensor_bytes: int


@dataclass(frozen=True)
class Contents:
    """One TFLite file.

    Attributes:
        constant_bytes: in the file, initial values of the variables included.
        variables: the specs by name; one that no signature reads or assigns is not known.
        ops: how often each op stands in the file, the most frequent first.
        problems: what a device could not run, a sentence each; see `model_export.builtin_ops`.
    """

    file_bytes: int
    constant_bytes: int
    signatures: tuple[SignatureContents, ...]
    variables: Mapping[str, TensorSpec]
    ops: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def variable_bytes(self) -> int:
        """What the variables take in memory."""
        return sum(spec.size_bytes for spec in self.variables.values())


def inspect(tflite: bytes) -> Contents:
    """The contents of a file.

    Raises:
        ProgramFileError: the bytes are not a TFLite file.
    """
    model = flatbuffer.read(tflite)
    return Contents(
        file_bytes=len(tflite),
        constant_bytes=sum(0 if buffer.data is None else len(buffer.data) for buffer in model.buffers or ()),
        signatures=tuple(sorted((_signature(model, one) for one in model.signatureDefs or ()), key=_by_name)),
        variables=dict(sorted(_variables(model))),
        ops=dict(builtin_ops.count_ops(tflite).most_common()),
        problems=builtin_ops.find_problems(tflite),
    )


def _by_name(signature: SignatureContents) -> str:
    return signature.name


def _signature(model: Any, signature: Any) -> SignatureContents:
    graph = model.subgraphs[signature.subgraphIndex]
    return SignatureContents(
        signature.signatureKey.decode(),
        _ports(graph, signature.inputs),
        _ports(graph, signature.outputs),
        len(graph.operators or ()),
        _peak_bytes(model, graph),
    )


def _ports(graph: Any, entries: Sequence[Any] | None) -> dict[str, str]:
    tensors = {entry.name.decode(): graph.tensors[entry.tensorIndex] for entry in entries or ()}
    return {name: str(flatbuffer.spec(tensor) or flatbuffer.dtype(tensor)) for name, tensor in sorted(tensors.items())}


def _variables(model: Any) -> Iterator[tuple[str, TensorSpec]]:
    """(name, spec) wherever a variable is read or assigned; its handle alone does not tell its shape."""
    handles: dict[tuple[int, int], str] = {}
    for name, operator, graph in flatbuffer.ops(model):
        if name == "VAR_HANDLE":
            handles[id(graph), flatbuffer.outputs(operator)[0]] = operator.builtinOptions.sharedName.decode()
        elif name in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            handle, *rest = [*flatbuffer.inputs(operator), *flatbuffer.outputs(operator)]
            value = flatbuffer.spec(graph.tensors[rest[0]])
            if value is not None and (id(graph), handle) in handles:
                yield handles[id(graph), handle], value


def _peak_bytes(model: Any, graph: Any) -> int:
    """The most bytes alive at once, from the first op to the last."""
    operators = list(graph.operators or ())
    last_use = {index: step for step, one in enumerate(operators) for index in flatbuffer.inputs(one)}
    last_use |= dict.fromkeys(map(int, graph.outputs), len(operators))
    alive = {int(index): _computed_bytes(model, graph.tensors[index]) for index in graph.inputs}
    peak = sum(alive.values())
    for step, operator in enumerate(operators):
        alive |= {index: _computed_bytes(model, graph.tensors[index]) for index in flatbuffer.outputs(operator)}
        peak = max(peak, sum(alive.values()))
        for index in [*flatbuffer.inputs(operator), *flatbuffer.outputs(operator)]:
            if last_use.get(index, step) <= step:
                alive.pop(index, None)
    return peak


def _computed_bytes(model: Any, tensor: Any) -> int:
    spec = flatbuffer.spec(tensor)
    return 0 if spec is None or flatbuffer.constant_bytes(model, tensor) else spec.size_bytes
