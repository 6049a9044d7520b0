"""One TFLite file and its signatures, on whichever runtime is installed.

The runtimes trust their caller: on tflite-runtime 2.14 an input of the wrong shape makes the *next* valid call crash
the process, and a rank-0 input does so on ARM. So nothing reaches them before names, shapes and dtypes are checked
here. Variables live as long as the `Program`; one thread at a time may call it.
"""

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from plans.errors import ProgramError
from plans.manifest import Port
from wire.tensors import Array, Specs, Tensors, TensorSpec

# In the order of preference: the current runtime, the one it replaced, and the one inside TensorFlow.
_RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite", "tensorflow"),
)


@dataclass(frozen=True)
class InterpreterRuntime:
    """An installed runtime: the distribution's name and version, and its `Interpreter` class."""

    name: str
    version: str
    interpreter: Any


@cache
def installed_runtime() -> InterpreterRuntime:
    """The runtime that programs run on.

    Raises:
        ProgramError: none is installed.
    """
    for module, distribution in _RUNTIMES:
        try:
            interpreter = importlib.import_module(module).Interpreter
        except ImportError:
            continue
        return InterpreterRuntime(distribution, _version(distribution), interpreter)
    raise ProgramError(
        "no TFLite runtime is installed: pip install 'fedelta[device]', or 'fedelta[device-tflite-runtime]' where "
        "ai-edge-litert has no wheel"
    )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class Program:
    """The signatures of one TFLite file, with the variables they share.

    Example:
        >>> Program(exported.tflite).call("infer", x=images)["output"]

    Raises:
        ProgramError: no runtime is installed, or the bytes are not a TFLite file.
    """

    def __init__(self, tflite: bytes) -> None:
        runtime = installed_runtime()
        try:
            # One thread: more never helped tflite-runtime 2.14, and a device has other things to do.
            self._interpreter = runtime.interpreter(model_content=tflite, num_threads=1)
            self._names: dict[str, Any] = self._interpreter.get_signature_list()
        except (RuntimeError, ValueError, TypeError) as error:
            raise ProgramError(f"{runtime.name} cannot load the program of {len(tflite)} bytes: {error}") from error
        self._runners: dict[str, Any] = {}
        self._inputs: dict[str, dict[str, TensorSpec]] = {}

    @property
    def signatures(self) -> tuple[str, ...]:
        """The names of the signatures, sorted."""
        return tuple(sorted(self._names))

    def inputs(self, signature: str) -> Specs:
        """What a signature takes, by name, as the runtime sees it."""
        self._runner(signature)
        return self._inputs[signature]

    def outputs(self, signature: str) -> Specs:
        """What a signature gives, by name, as the runtime sees it."""
        return _specs(self._runner(signature).get_output_details())

    def call(self, signature: str, /, **arrays: Array) -> dict[str, Array]:
        """Run a signature once, on exactly the arrays it takes, and return copies of what it gives.

        Integers of another width are converted where every value fits; nothing else is.

        Raises:
            ProgramError: no such signature, another set of names, a wrong shape or dtype, or a fault of the runtime.
        """
        runner = self._runner(signature)
        expected = self._inputs[signature]
        if arrays.keys() != expected.keys():
            raise ProgramError(
                f"{signature} takes {', '.join(expected)}; it was given {', '.join(arrays) or 'nothing'}"
            )
        checked = {name: _fit(signature, name, arrays[name], spec) for name, spec in expected.items()}
        try:
            outputs = runner(**checked)
        except (RuntimeError, ValueError) as error:
            raise ProgramError(f"{signature} failed: {error}") from error
        return {name: np.array(value) for name, value in outputs.items()}

    def call_through(self, signature: str, ports: Mapping[str, Port], tensors: Tensors) -> dict[str, Array]:
        """`call`, on logical tensors that go in through their ports. What comes out is still as the runtime has it."""
        return self.call(signature, **{name: bind(ports[name], tensors[name]) for name in ports})

    def _runner(self, signature: str) -> Any:
        if signature not in self._names:
            raise ProgramError(f"the program has no signature {signature!r}; it has {', '.join(self.signatures)}")
        if signature not in self._runners:
            try:
                runner = self._interpreter.get_signature_runner(signature)
            except (RuntimeError, ValueError) as error:
                raise ProgramError(f"the runtime cannot prepare {signature}: {error}") from error
            self._inputs[signature] = _specs(runner.get_input_details())
            self._runners[signature] = runner
        return self._runners[signature]


def bind(port: Port, tensor: Array) -> Array:
    """A logical tensor in the form its signature takes: `float32[]` becomes `float32[1]`, `int64` becomes `int32`.

    Raises:
        ProgramError: the tensor is not the port's, or a value does not survive.
    """
    if str(tensor.dtype) != port.spec.dtype or tensor.shape != port.spec.shape:
        raise ProgramError(f"expected {port.spec}, found {tensor.dtype}{list(tensor.shape)}")
    return _convert(tensor, port.at_runtime)


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
    converted = tensor.reshape(spec.shape).astype(spec.dtype)
    if not np.array_equal(converted.astype(tensor.dtype).reshape(tensor.shape), tensor, equal_nan=_is_float(tensor)):
        raise ProgramError(f"the values of a {tensor.dtype} tensor do not fit {spec}")
    return converted


def _is_float(tensor: Array) -> bool:
    return tensor.dtype.kind == "f"


def _specs(details: Mapping[str, Mapping[str, Any]]) -> dict[str, TensorSpec]:
    try:
        return {
            name: TensorSpec(np.dtype(detail["dtype"]).name, tuple(int(size) for size in detail["shape"]))
            for name, detail in details.items()
        }
    except ValueError as error:
        raise ProgramError(f"a signature has a tensor that is none of a plan's: {error}") from None


def _fit(signature: str, name: str, value: Array, spec: TensorSpec) -> Array:
    array = np.asarray(value)
    if array.shape != spec.shape:
        raise ProgramError(f"{signature}: {name} must be {spec}, found the shape {list(array.shape)}")
    if str(array.dtype) == spec.dtype:
        return np.ascontiguousarray(array)
    limits = np.iinfo(spec.dtype) if np.dtype(spec.dtype).kind in "iu" else None
    if limits is None or array.dtype.kind not in "iu":
        raise ProgramError(f"{signature}: {name} must be {spec}, found the dtype {array.dtype}")
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        raise ProgramError(f"{signature}: {name} must be {spec}; the {array.dtype} values do not fit")
    return np.ascontiguousarray(array, dtype=spec.dtype)
