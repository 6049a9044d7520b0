"""Functions on both runtimes, with XNNPACK and without, beside TensorFlow: what each gives, or that it refuses.

The runs are in processes of their own, for what is tested here has ended the process before.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.convert import convert
from model_export.progress import silent
from model_export.signature import Signature
from tests.model_export.conformance import TFLITE_RUNTIME
from wire.tensors import Array, TensorSpec

_REPOSITORY = Path(__file__).parents[2]
_RUN = """
import sys, numpy as np
from plans.errors import ProgramError
from plans.program import Program
with open(sys.argv[1], "rb") as file:
    program = Program(file.read(), delegate=None if sys.argv[4] == "XNNPACK" else False)
given, found = np.load(sys.argv[2]), {}
calls = {}
for key in given.files:
    signature, call, name = key.split("|")
    calls.setdefault((signature, call), {})[name] = given[key]
for (signature, call), inputs in calls.items():
    try:
        found[signature + "|" + call] = program.call(signature, **inputs)["y"]
    except ProgramError as error:
        print(signature, call, error)
np.savez(sys.argv[3], **found)
"""

Outcome = Array | None
"""What a call gives; None where it is refused."""


@dataclass(frozen=True)
class Called:
    """A function, and the arguments of some calls, all of the same shapes and dtypes."""

    function: Callable[..., Any]
    calls: Sequence[Sequence[Array]]

    def in_tensorflow(self) -> list[Outcome]:
        """What TensorFlow gives for each call, as it travels."""
        return [self._expected(arguments) for arguments in self.calls]

    def _expected(self, arguments: Sequence[Array]) -> Outcome:
        try:
            return _as_sent(np.asarray(self.function(*map(tf.constant, arguments))))
        except tf.errors.OpError:
            return None

    def inputs(self) -> list[dict[str, Array]]:
        """The arguments of each call by name, as they travel."""
        return [{f"x{place}": _as_sent(value) for place, value in enumerate(call)} for call in self.calls]

    def signature(self, name: str) -> Signature:
        """The function under this name."""
        specs = {key: TensorSpec(value.dtype.name, value.shape) for key, value in self.inputs()[0].items()}
        return Signature(name, specs, self._body)

    def _body(self, **given: Any) -> dict[str, Any]:
        pairs = zip(given.values(), self.calls[0], strict=True)
        y = tf.convert_to_tensor(self.function(*[tf.reshape(tf.cast(x, a.dtype), a.shape) for x, a in pairs]))
        y = tf.cast(y, tf.uint8) if y.dtype == tf.bool else y
        return {"y": y if y.shape.rank else tf.reshape(y, [1])}


class OnRuntimes:
    """Some functions in one file, and what each runtime made of their calls."""

    def __init__(self, called: Mapping[str, Called]) -> None:
        self._called = called
        keys = {name: f"f{place}" for place, name in enumerate(called)}
        tflite = convert([one.signature(keys[name]) for name, one in called.items()], (), (), silent)
        given = {
            f"{keys[name]}|{number}|{key}": value
            for name, one in called.items()
            for number, inputs in enumerate(one.inputs())
            for key, value in inputs.items()
        }
        runtimes = {"LiteRT": Path(sys.executable)}
        if TFLITE_RUNTIME.exists():
            runtimes["tflite-runtime"] = TFLITE_RUNTIME
        self._found = {
            f"{runtime}, {kernels}": _run(python, tflite, given, kernels)
            for runtime, python in runtimes.items()
            for kernels in ("XNNPACK", "builtin")
        }
        self._keys = keys

    def differing(self, name: str, relative: float = 1e-5, absolute: float = 1e-12) -> list[Any]:
        """Where a runtime differs from TensorFlow in a call: (runtime, arguments, found, expected)."""
        return list(self._differing(name, relative, absolute))

    def _differing(self, name: str, relative: float, absolute: float) -> Iterator[Any]:
        one = self._called[name]
        for number, expected in enumerate(one.in_tensorflow()):
            for runtime, results in self._found.items():
                found = results.get(f"{self._keys[name]}|{number}")
                if not _same(found, expected, relative, absolute):
                    yield runtime, one.calls[number], found, expected


def _same(found: Outcome, expected: Outcome, relative: float, absolute: float) -> bool:
    """Whether both refuse, or give the same; the largest float32 counts as infinite."""
    if found is None or expected is None:
        return found is expected
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind != "f":
        return np.array_equal(found, expected)
    is_infinite = np.abs(found) >= np.finfo(np.float32).max
    given = np.where(is_infinite, np.copysign(np.inf, found), found)
    return np.allclose(given, expected, rtol=relative, atol=absolute, equal_nan=True)


def _run(python: Path, tflite: bytes, given: Mapping[str, Array], kernels: str) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as directory:
        model, fed, found = (Path(directory) / name for name in ("model.tflite", "fed.npz", "found.npz"))
        model.write_bytes(tflite)
        np.savez(fed, **given)  # type: ignore[arg-type]  # names of tensors, not of savez's own arguments
        environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
        command = [str(python), "-c", _RUN, str(model), str(fed), str(found), kernels]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        with np.load(found) as values:
            return {key: values[key] for key in values.files}


def _as_sent(value: Array) -> Array:
    sent = np.atleast_1d(value)
    return sent.astype(np.uint8) if sent.dtype == bool else sent
