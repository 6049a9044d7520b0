"""Takes a local computation over data sets apart, by running it with something else in their place.

A device has no `tf.data`: it goes through its examples one by one. So the Python function is called on
`SequenceStandIn` objects, which know `map` and `reduce`, and refuse everything else by its name. To get at one stage,
the function is called once more, up to that stage: everything before it is computed again from the arguments.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import tensorflow as tf

from federated.backends.kernels import TensorFlowKernel, trace
from federated.backends.local_bodies import TracedBody
from federated.backends.structured import flattened, nested, tensor_spec
from federated.compiler.library import FoldStage, MappedSequence, Stages
from federated.language.errors import CompilationError, FederatedError
from federated.language.origin import here
from federated.language.types import SequenceType, StructType, TensorType, Type, to_type

_FIX = (
    "a device goes through its examples once, element by element: use Dataset.map and Dataset.reduce, or "
    "fed.sequence_reduce; batching, shuffling and repeating are said in fed.on_device"
)


class _Reached(Exception):  # noqa: N818 - not an error: the stage that was wanted has been reached
    """Ends a call of the function at the stage it was made for."""

    def __init__(self, outputs: Sequence[Any]) -> None:
        super().__init__()
        self.outputs = outputs


@dataclass
class _Recording:
    """One call of the function.

    Attributes:
        wanted: the stage to stop at, and whether at its zero or its step; None to go through.
        totals: what the stages before came to; the rest stands for itself.
        inside: for a step, the stage's own totals and an element.
    """

    totals: list[list[Any]]
    wanted: tuple[int, str] | None = None
    inside: tuple[list[Any], list[Any]] | None = None
    reduced: list[tuple[int, int]] = field(default_factory=list)


class SequenceStandIn:
    """What a local computation sees in the place of a `tf.data.Dataset` when it is compiled for devices."""

    stands_for_a_dataset = True

    def __init__(self, number: int, base: Type, transform: Callable[[Any], Any], recording: _Recording) -> None:
        self.number = number
        self._base = base
        self._transform = transform
        self._recording = recording

    @property
    def element_spec(self) -> Any:
        """TensorFlow's nested specs of an element."""
        flat = [tensor_spec(leaf) for leaf in _leaves(self._base) if isinstance(leaf, TensorType)]
        given = self._transform(nested(self._base, [tf.zeros(spec.shape, spec.dtype) for spec in flat]))
        return tf.nest.map_structure(lambda one: tf.TensorSpec.from_tensor(tf.convert_to_tensor(one)), given)

    def map(self, map_func: Callable[..., Any], **_: Any) -> "SequenceStandIn":
        """Each element put through a function; how many at once is the device's affair."""

        def both(element: Any) -> Any:
            return _called(map_func, self._transform(element))

        return SequenceStandIn(self.number, self._base, both, self._recording)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], **_: Any) -> Any:
        """All elements put together, from the first to the last."""
        recording = self._recording
        stage = len(recording.reduced)
        start = tf.nest.map_structure(tf.convert_to_tensor, initial_state)
        flat = tf.nest.flatten(start)
        recording.reduced.append((self.number, len(flat)))
        if recording.wanted == (stage, "zero"):
            raise _Reached(flat)
        if recording.wanted == (stage, "step"):
            assert recording.inside is not None  # noqa: S101 - it comes with the wish
            totals, element = recording.inside
            state = tf.nest.pack_sequence_as(start, totals)
            given = reduce_func(state, self._transform(self._element(element)))
            raise _Reached(tf.nest.flatten(tf.nest.map_structure(tf.convert_to_tensor, given)))
        known = recording.totals[stage] if stage < len(recording.totals) else flat
        return tf.nest.pack_sequence_as(start, known)

    def mapped(self, element: Sequence[Any]) -> list[Any]:
        """The flat tensors that an element becomes, in the order of its type."""
        return flattened(self._transform(self._element(element)))[1]

    def _element(self, flat: Sequence[Any]) -> Any:
        return nested(self._base, list(flat))

    def __getattr__(self, name: str) -> NoReturn:
        # Libraries ask objects for attributes of all sorts to find out what they are.
        if name.startswith("_") or not hasattr(tf.data.Dataset, name):
            raise AttributeError(name)
        raise CompilationError(f"Dataset.{name} has no meaning on a device", where=here(), fix=_FIX)

    def __iter__(self) -> Iterator[Any]:
        raise CompilationError("a `for` over a Dataset has no meaning on a device", where=here(), fix=_FIX)


def stages_of(body: TracedBody, arguments: Sequence[TensorType | Sequence[TensorType]]) -> Stages:
    """The stages of a body; see `federated.compiler.library.Library`."""
    parameter = body.type.parameter
    elements = [leaf.element for leaf in _leaves(parameter) if isinstance(leaf, SequenceType)]
    specialised = _specialised(elements, [leaf for leaf in arguments if not isinstance(leaf, TensorType)])
    tensors = [leaf for leaf in arguments if isinstance(leaf, TensorType)]
    taking_apart = _TakingApart(body, [isinstance(leaf, TensorType) for leaf in arguments], specialised, len(tensors))
    return taking_apart.stages(tensors)


class _TakingApart:
    """A body with what its flat arguments are."""

    def __init__(self, body: TracedBody, is_tensor: list[bool], elements: list[Type], count: int) -> None:
        self._body = body
        self._is_tensor = is_tensor
        self._elements = elements
        self._count = count
        self._is_python = False

    def stages(self, tensors: Sequence[TensorType]) -> Stages:
        """The stages, found by one call on symbols."""
        recording = _Recording([])
        results: list[Any] = []
        types: dict[int, Type] = {}

        def whole(flat: Sequence[Any]) -> Sequence[Any]:
            results[:] = self._call(flat, recording)
            types.update(
                {i: to_type(leaf.element_spec) for i, leaf in enumerate(results) if isinstance(leaf, SequenceStandIn)}
            )
            return [leaf for leaf in results if not isinstance(leaf, SequenceStandIn)]

        trace(whole, tensors)
        sizes = [size for _, size in recording.reduced]
        folds = tuple(
            FoldStage(
                number,
                self._kernel(f"zero_{stage}", self._zero(stage, sizes)),
                self._kernel(f"step_{stage}", self._step(stage, sizes)),
            )
            for stage, (number, _) in enumerate(recording.reduced)
        )
        finish = self._kernel("finish", self._finish(sizes))
        mapped = tuple(
            MappedSequence(leaf.number, self._kernel("map", self._mapping(index, sizes)), types[index])
            if isinstance(leaf, SequenceStandIn)
            else None
            for index, leaf in enumerate(results)
        )
        return Stages(folds, finish, mapped)

    def _zero(self, stage: int, sizes: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        def zero(flat: Sequence[Any]) -> Sequence[Any]:
            tensors, totals, _ = self._split(flat, sizes[:stage])
            return self._reach(tensors, _Recording(totals, (stage, "zero")))

        return zero

    def _step(self, stage: int, sizes: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        def step(flat: Sequence[Any]) -> Sequence[Any]:
            tensors, totals, rest = self._split(flat, sizes[:stage])
            own, element = list(rest[: sizes[stage]]), list(rest[sizes[stage] :])
            return self._reach(tensors, _Recording(totals, (stage, "step"), (own, element)))

        return step

    def _finish(self, sizes: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        def finish(flat: Sequence[Any]) -> Sequence[Any]:
            tensors, totals, _ = self._split(flat, sizes)
            results = self._call(tensors, _Recording(totals))
            return [leaf for leaf in results if not isinstance(leaf, SequenceStandIn)]

        return finish

    def _mapping(self, index: int, sizes: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        def mapping(flat: Sequence[Any]) -> Sequence[Any]:
            tensors, totals, element = self._split(flat, sizes)
            mapped: list[Any] = self._call(tensors, _Recording(totals))[index].mapped(element)
            return mapped

        return mapping

    def _split(self, flat: Sequence[Any], sizes: Sequence[int]) -> tuple[list[Any], list[list[Any]], list[Any]]:
        """The tensors, the totals of some stages, and the rest."""
        remaining = list(flat)
        parts = []
        for size in (self._count, *sizes):
            parts.append(remaining[:size])
            remaining = remaining[size:]
        return parts[0], parts[1:], remaining

    def _reach(self, tensors: Sequence[Any], recording: _Recording) -> Sequence[Any]:
        try:
            self._call(tensors, recording)
        except _Reached as reached:
            return reached.outputs
        raise AssertionError(recording.wanted)

    def _call(self, tensors: Sequence[Any], recording: _Recording) -> list[Any]:
        """The function's results; a `tf.function`, which takes no stand-in, is called as the Python function it is."""
        marked = len(recording.reduced)
        if not self._is_python:
            try:
                return self._called(tensors, recording)
            except (_Reached, FederatedError):
                raise
            except Exception:
                self._is_python = True
                del recording.reduced[marked:]
        try:
            with _tf_functions_as_python():
                return self._called(tensors, recording)
        except (_Reached, FederatedError):
            raise
        except Exception as error:
            raise self._refused(error) from error

    def _called(self, tensors: Sequence[Any], recording: _Recording) -> list[Any]:
        remaining, elements = iter(tensors), iter(enumerate(self._elements))

        def sequence(_: Any, type_: SequenceType) -> SequenceStandIn:
            number, element = next(elements)
            return SequenceStandIn(number, element, lambda value: value, recording)

        flat = [next(remaining) if is_tensor else None for is_tensor in self._is_tensor]
        return self._body.emitted(flat, sequence)[1]

    def _refused(self, error: Exception) -> FederatedError:
        """What is said of a function that runs on data sets, and does not on what stands in their place."""
        reason = str(error).partition("\n")[0]
        return CompilationError(
            f"the local computation {self._body.name!r} does with a data set what a device cannot: {reason}", fix=_FIX
        )

    def _kernel(self, part: str, function: Callable[[Sequence[Any]], Sequence[Any]]) -> TensorFlowKernel:
        return TensorFlowKernel(f"{self._body.name} ({part})", function)


@contextmanager
def _tf_functions_as_python() -> Iterator[None]:
    """TensorFlow has one switch for the process; it is on while one function is looked at."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _called(function: Callable[..., Any], element: Any) -> Any:
    """As `Dataset.map` does it: a tuple's elements are the arguments."""
    return function(*element) if type(element) is tuple else function(element)


def _specialised(elements: Sequence[Type], found: Sequence[Sequence[TensorType]]) -> list[Type]:
    """The elements' types with the shapes that their tensors really have."""
    return [_with_leaves(element, iter(leaves)) for element, leaves in zip(elements, found, strict=True)]


def _with_leaves(type_: Type, leaves: Iterator[TensorType]) -> Type:
    if not isinstance(type_, StructType):
        return next(leaves)
    return type_.with_elements([_with_leaves(element, leaves) for element in type_])


def _leaves(type_: Type | None) -> Iterator[Type]:
    if isinstance(type_, StructType):
        for element in type_:
            yield from _leaves(element)
    elif type_ is not None:
        yield type_
