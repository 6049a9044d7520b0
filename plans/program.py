"""One TFLite file and its signatures, on whichever runtime is installed.

The runtimes trust their caller: on tflite-runtime 2.14 an input of the wrong shape makes the *next* valid call crash
the process, and a rank-0 input does so on ARM. So nothing reaches them before names, shapes and dtypes are checked
here. Variables live as long as the `Program`; one thread at a time may call it.

The runtimes hand what they can to XNNPACK, their *delegate*, and fail where it refuses what it first accepted (a SUM of
rank 7 on LiteRT). Every signature is therefore prepared before the first one runs, while there are no variables to
lose, and a file that the delegate refuses runs without it.

They never give the memory of a signature's input to another tensor, nor write over it (`ArenaPlanner` in TensorFlow's
`lite/arena_planner.cc`). So an array that nobody can have changed since it went in, such as a model that every client
of a simulated round begins with, does not go in again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from plans.errors import ProgramError
from plans.manifest import Port
from plans.runtime import installed_runtime
from wire.tensors import DTYPES, Array, Specs, Tensors, TensorSpec

FLAG = "flag"  # what a signature takes that has nothing to take: phones' runtimes have none without inputs

_DTYPES = {name: np.dtype(name) for name in DTYPES}  # numpy looks a name up whenever it compares with one

_log = logging.getLogger(__name__)


class Program:
    """The signatures of one TFLite file, with the variables they share.

    Args:
        delegate: whether XNNPACK computes what it can. None for yes, unless it refuses the file: that is logged, for
            matrix products are then up to forty times slower on LiteRT.
        threads: how many one call may use; tflite-runtime always takes one.

    Example:
        >>> Program(exported.tflite).call("infer", x=images)["output"]

    Raises:
        ProgramError: no runtime is installed, the bytes are not a TFLite file, or an input has rank 0.
    """

    def __init__(self, tflite: bytes, *, delegate: bool | None = None, threads: int = 1) -> None:
        self._tflite = tflite
        self._delegate = delegate
        self._threads = threads
        self._is_prepared = False
        self._open(delegate=delegate is not False)
        self._inputs = {name: _specs(one.runner.get_input_details) for name, one in self._signatures.items()}
        self._refuse_scalars()

    @property
    def signatures(self) -> tuple[str, ...]:
        """The names of the signatures, sorted."""
        return tuple(sorted(self._signatures))

    def inputs(self, signature: str) -> Specs:
        """What a signature takes, by name, as the runtime sees it."""
        self._known(signature)
        return self._inputs[signature]

    def outputs(self, signature: str) -> Specs:
        """What a signature gives, by name, as the runtime sees it."""
        return _specs(self._known(signature).runner.get_output_details)

    def call(self, signature: str, /, **arrays: Array) -> dict[str, Array]:
        """Run a signature once, on exactly the arrays it takes, and return copies of what it gives.

        Integers of another width are converted where every value fits; nothing else is.

        Raises:
            ProgramError: no such signature, another set of names, a wrong shape or dtype, or a fault of the runtime.
        """
        for _ in self.steps(signature, [arrays]):
            pass
        try:
            return self._signatures[signature].outputs()
        except (RuntimeError, ValueError) as error:
            raise ProgramError(f"{signature} failed: {error}") from error

    def steps(self, signature: str, calls: Iterable[Mapping[str, Array]]) -> Iterator[None]:
        """Run a signature on one set of arrays after another, of which nobody wants what it gives, and yield each time.

        All are checked before the first one runs: a step fills the processor's caches with the model, and what Python
        does between two steps finds nothing of its own there.

        Raises:
            ProgramError: see `call`; nothing has run where one set does not fit.
        """
        expected = self.inputs(signature)
        fitting = [_fitting(signature, arrays, expected) for arrays in calls]
        if not self._is_prepared:
            self._prepare()
        invoke = self._signatures[signature].invoke
        for arrays in fitting:
            try:
                invoke(arrays)
            except (RuntimeError, ValueError) as error:
                raise ProgramError(f"{signature} failed: {error}") from error
            yield

    def call_through(self, signature: str, ports: Mapping[str, Port], tensors: Tensors) -> dict[str, Array]:
        """`call`, on logical tensors that go in through their ports; on the flag where there are none.

        What comes out is still as the runtime has it.
        """
        if missing := sorted(ports.keys() - tensors.keys()):
            raise ProgramError(f"{signature} takes {', '.join(missing)}, which nobody gave")
        arrays = {name: bind(port, tensors[name]) for name, port in ports.items()}
        return self.call(signature, **(arrays or {FLAG: np.ones([1], np.float32)}))

    def _open(self, *, delegate: bool) -> None:
        runtime = installed_runtime()
        try:
            interpreter = runtime.open(self._tflite, threads=self._threads, delegate=delegate)
            names = interpreter.get_signature_list()
            self._signatures = {name: _Signature(interpreter.get_signature_runner(name)) for name in names}
        except (RuntimeError, ValueError, TypeError) as error:
            size_bytes = len(self._tflite)
            raise ProgramError(f"{runtime.name} cannot load the program of {size_bytes} bytes: {error}") from error

    def _refuse_scalars(self) -> None:
        for signature, specs in self._inputs.items():
            if scalars := [name for name, spec in specs.items() if not spec.shape]:
                raise ProgramError(
                    f"{signature} takes {', '.join(scalars)} of rank 0, which crashes the runtimes of ARM devices; "
                    "export the program with the shape [1]"
                )

    def _prepare(self) -> None:
        """Allocate every signature, once; without the delegate where it refuses one."""
        try:
            for one in self._signatures.values():
                one.allocate()
        except RuntimeError as error:
            if self._delegate is not None or not _is_of_the_delegate(error):
                raise ProgramError(f"the runtime cannot prepare the program: {error}") from error
            _log.warning("the program runs without XNNPACK, which is far slower: %s", error)
            self._delegate = False
            self._open(delegate=False)
            self._prepare()
        self._is_prepared = True

    def _known(self, signature: str) -> "_Signature":
        if signature not in self._signatures:
            raise ProgramError(f"the program has no signature {signature!r}; it has {', '.join(self.signatures)}")
        return self._signatures[signature]


class _Signature:
    """What calling a runner does, but for its resizing of inputs that have their size: a tenth of a small step's time.

    The runtimes have no public names for any of it.
    """

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self._interpreter, self._subgraph = runner._interpreter_wrapper, runner._subgraph_index
        self._held: dict[str, Array | None] = {}  # the inputs that nobody can have changed since they went in

    def allocate(self) -> None:
        """What the first call would do first."""
        self._interpreter.AllocateTensors(self._subgraph)

    def invoke(self, arrays: Mapping[str, Array]) -> None:
        """Set the inputs and run."""
        indices, held = self.runner._inputs, self._held
        for name, value in arrays.items():
            if value is not held.get(name):
                self._interpreter.SetTensor(indices[name], value, self._subgraph)
                held[name] = None if value.flags.writeable or value.base is not None else value
        self._interpreter.Invoke(self._subgraph)

    def outputs(self) -> dict[str, Array]:
        """What the last run gave, as copies."""
        return {name: self._interpreter.GetTensor(index, self._subgraph) for name, index in self.runner._outputs}


def _is_of_the_delegate(error: RuntimeError) -> bool:
    message = str(error)
    return "failed to delegate" in message or ("Delegate" in message and "failed to prepare" in message)


def bind(port: Port, tensor: Array) -> Array:
    """A logical tensor in the form its signature takes: `float32[]` becomes `float32[1]`, `int64` becomes `int32`.

    Raises:
        ProgramError: the tensor is not the port's, or a value does not survive.
    """
    if tensor.dtype != _DTYPES[port.spec.dtype] or tensor.shape != port.spec.shape:
        raise ProgramError(f"expected {port.spec}, found {tensor.dtype}{list(tensor.shape)}")
    return tensor if port.bound is None else _convert(tensor, port.bound)


def unbind(port: Port, tensor: Array) -> Array:
    """What a signature gave, in its logical form; the inverse of `bind`."""
    return _convert(np.asarray(tensor), port.spec)


def unbind_all(ports: Mapping[str, Port], outputs: Tensors) -> dict[str, Array]:
    """The logical forms of the outputs that `ports` name.

    Raises:
        ProgramError: one is not there.
    """
    if missing := sorted(ports.keys() - outputs.keys()):
        raise ProgramError(f"the signature gave no {', '.join(missing)}")
    return {name: unbind(port, outputs[name]) for name, port in ports.items()}


def _convert(tensor: Array, spec: TensorSpec) -> Array:
    if tensor.dtype == _DTYPES[spec.dtype]:
        return tensor if tensor.shape == spec.shape else tensor.reshape(spec.shape)
    converted = tensor.reshape(spec.shape).astype(spec.dtype)
    if not np.array_equal(converted.astype(tensor.dtype).reshape(tensor.shape), tensor, equal_nan=_is_float(tensor)):
        raise ProgramError(f"the values of a {tensor.dtype} tensor do not fit {spec}")
    return converted


def _is_float(tensor: Array) -> bool:
    return tensor.dtype.kind == "f"


def _specs(details: Callable[[], Mapping[str, Mapping[str, Any]]]) -> dict[str, TensorSpec]:
    try:
        return {
            name: TensorSpec(np.dtype(detail["dtype"]).name, tuple(int(size) for size in detail["shape"]))
            for name, detail in details().items()
        }
    except (ValueError, TypeError, RuntimeError) as error:  # the last two, and texts that are none, in a damaged file
        raise ProgramError(f"a signature has a tensor that is none of a plan's: {error}") from None


def _fitting(signature: str, arrays: Mapping[str, Array], expected: Specs) -> Mapping[str, Array]:
    """The arrays of a call, each of exactly the spec of its input."""
    if arrays.keys() != expected.keys():
        raise ProgramError(f"{signature} takes {', '.join(expected)}; it was given {', '.join(arrays) or 'nothing'}")
    return {name: _fit(signature, name, arrays[name], spec) for name, spec in expected.items()}


def _fit(signature: str, name: str, value: Array, spec: TensorSpec) -> Array:
    array = np.asarray(value)
    if array.shape != spec.shape:
        raise ProgramError(f"{signature}: {name} must be {spec}, found the shape {list(array.shape)}")
    if array.dtype == _DTYPES[spec.dtype]:
        return np.ascontiguousarray(array)
    limits = np.iinfo(spec.dtype) if np.dtype(spec.dtype).kind in "iu" else None
    if limits is None or array.dtype.kind not in "iu":
        raise ProgramError(f"{signature}: {name} must be {spec}, found the dtype {array.dtype}")
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        raise ProgramError(f"{signature}: {name} must be {spec}; the {array.dtype} values do not fit")
    return np.ascontiguousarray(array, dtype=spec.dtype)
