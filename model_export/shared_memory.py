"""Keeps the runtimes from writing over a tensor that an op yet to come reads.

The runtimes let some ops put their output where an input lies: a RESHAPE always, for it changes nothing, and a MUL
where nothing else reads its input. Whether anything does, the planner of LiteRT 2.3 and of tflite-runtime 2.14 asks of
two tensors: the input itself, and the one that had the memory first. It does not ask of those in between:

    a = sin x        b = a · 2        c = RESHAPE b        d = c · 3        e = b + 1

Each of a and c is read once, so d takes the memory of a, which b has as well, and e adds 1 to the wrong numbers.
XNNPACK plans for itself, so that a program may be right with it and wrong without. Source: `ArenaPlanner` in
TensorFlow's `lite/arena_planner.cc`; which ops share was read off the addresses that the two runtimes give tensors.

Here the planner's decisions are made again. Where one is wrong, the input gets a second reader, a RESHAPE that nobody
reads, and the planner leaves it alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from model_export import flatbuffer

# Ops whose output lies where their first input does, and is the same numbers.
_VIEWS = frozenset({"BITCAST", "RESHAPE"})
# Ops that write over one of so many of their first inputs.
_WRITERS: Mapping[str, int] = MappingProxyType(
    {"ADD": 2, "DIV": 2, "DYNAMIC_UPDATE_SLICE": 1, "MUL": 2, "SOFTMAX": 1, "SUB": 2}
)
_SCALAR_BYTES = 4  # what is no larger is not written over


@dataclass(frozen=True)
class Loss:
    """An op that writes over numbers which are read after it.

    Attributes:
        step: the op's place in its subgraph.
        written: the input that it writes over.
        origin: the tensor that had the memory first.
        lost: a tensor in it that a later op reads.
    """

    op: str
    step: int
    written: int
    origin: int
    lost: int


def find_losses(model: Any) -> Iterator[tuple[Loss, Any]]:
    """(loss, its subgraph) for every loss of a file, as `flatbuffer.read` gives it, in the order of execution."""
    names = flatbuffer.op_names(model)
    for graph in model.subgraphs or ():
        for loss in _losses(model, graph, names):
            yield loss, graph


def protect(model: Any) -> bool:
    """Change a file, as `flatbuffer.read` gives it, so that nothing is lost; whether anything was."""
    is_changed = False
    for graph in model.subgraphs or ():
        while losses := _first_of_each_memory(_losses(model, graph, flatbuffer.op_names(model))):
            for loss in reversed(losses):
                graph.operators.insert(loss.step, flatbuffer.add_copy(model, graph, loss.written))
            is_changed = True
    return is_changed


def _first_of_each_memory(losses: Iterator[Loss]) -> list[Loss]:
    """Those that no other has a part in: what shares no more memory loses nothing later."""
    first: dict[int, Loss] = {}
    for loss in losses:
        first.setdefault(loss.origin, loss)
    return list(first.values())


def _losses(model: Any, graph: Any, names: list[str]) -> Iterator[Loss]:
    """What the planner of the runtimes gets wrong in one subgraph."""
    reads = _reads(graph)
    inputs, outputs = ({int(index) for index in listed} for listed in (graph.inputs, graph.outputs))
    counts = Counter({tensor: len(steps) for tensor, steps in reads.items()}) + Counter(inputs)
    first: dict[int, int] = {}  # the tensor that had the memory of this one first
    sharing: dict[int, list[int]] = defaultdict(list)
    for step, operator in enumerate(graph.operators or ()):
        name = names[operator.opcodeIndex]
        if name not in _VIEWS and name not in _WRITERS:
            continue
        output = flatbuffer.outputs(operator)[0]
        candidates = [] if output in outputs else flatbuffer.inputs(operator)[: _WRITERS.get(name, 1)]
        candidates = [one for one in candidates if one not in inputs and not _is_constant(model, graph, one)]
        if name in _WRITERS:
            candidates = [one for one in candidates if counts[one] == 1 and _fits(graph, one, output)]
        if not candidates:
            continue
        source = candidates[0]
        origin = first.get(source, source)
        if name in _WRITERS:
            if counts[origin] > 1:
                continue
            others = (one for one in (origin, *sharing[origin]) if one != source and max(reads[one], default=-1) > step)
            if (lost := next(others, None)) is not None:
                yield Loss(name, step, source, origin, lost)
        first[output] = origin
        sharing[origin].append(output)


def _reads(graph: Any) -> dict[int, list[int]]:
    """For every tensor the places of the ops that read it; who takes an output comes after them all."""
    reads: dict[int, list[int]] = defaultdict(list)
    for step, operator in enumerate(graph.operators or ()):
        for index in flatbuffer.inputs(operator):
            reads[index].append(step)
    for index in graph.outputs:
        reads[int(index)].append(len(graph.operators or ()))
    return reads


def _is_constant(model: Any, graph: Any, tensor: int) -> bool:
    return flatbuffer.constant_bytes(model, graph.tensors[tensor]) > 0


def _fits(graph: Any, source: int, output: int) -> bool:
    taken, made = (flatbuffer.spec(graph.tensors[index]) for index in (source, output))
    return taken is not None and made is not None and taken.size_bytes == made.size_bytes > _SCALAR_BYTES
