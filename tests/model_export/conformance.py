"""Cases of a family of lowerings: functions that are compared, with their gradients, between TensorFlow and devices.

A family's test lists cases and calls `differences`; every case of a family goes into one file, which both runtimes run.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import Array, TensorSpec

# An environment with tflite-runtime 2.14 and numpy 1, and this repository installed in it.
TFLITE_RUNTIME = Path(__file__).parents[2] / ".venvs/tflite-runtime/bin/python"
# Both sides round each of some hundred sums to float32, in another order.
TOLERANCE = 2e-6

_RUN = """
import sys, numpy as np
from plans.program import Program
with open(sys.argv[1], "rb") as file:
    program = Program(file.read())
fed = np.load(sys.argv[2])
found = {}
for signature in sorted({key.split("|")[0] for key in fed.files}):
    inputs = {key.split("|")[1]: fed[key] for key in fed.files if key.startswith(signature + "|")}
    for name, value in program.call(signature, **inputs).items():
        found[signature + "|" + name] = value
np.savez(sys.argv[3], **found)
"""

Results = Mapping[str, Mapping[str, Array]]  # case -> output -> value


@dataclass(frozen=True)
class Case:
    """A function of tensors, of which the value and, for float inputs, the gradients are compared.

    Attributes:
        shapes: of float inputs drawn from a normal distribution.
        others: further inputs, given as they are.
        draw: what to make of a normal draw, such as to take its absolute value.
        tolerance: relative to the largest value of a tensor.
        on_tflite_runtime: False for what tflite-runtime 2.14 is known to compute wrongly.
    """

    name: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = ((2, 3),)
    others: tuple[Array, ...] = ()
    draw: Callable[[Array], Array] = field(default=lambda x: x)
    tolerance: float = TOLERANCE
    on_tflite_runtime: bool = True

    @property
    def arguments(self) -> list[Array]:
        """What the function is called with."""
        random = np.random.default_rng(len(self.name))
        drawn = [self.draw(random.standard_normal(shape)).astype(np.float32) for shape in self.shapes]
        return [*drawn, *self.others]

    @property
    def inputs(self) -> dict[str, Array]:
        """The inputs of the signature: the arguments, and the gradient of the output."""
        arguments = self.arguments
        y = np.asarray(tf.function(self.function, autograph=False)(*map(tf.constant, arguments)))
        gradient = np.random.default_rng(y.size).standard_normal(y.shape).astype(np.float32)
        named = {f"x{index}": value for index, value in enumerate(arguments)}
        return {name: np.atleast_1d(value) for name, value in (named | {"gradient": gradient}).items()}

    def signature(self) -> Signature:
        """The function and its gradients, as a signature."""
        specs = {name: TensorSpec(str(value.dtype), value.shape) for name, value in self.inputs.items()}
        return Signature(self.name, specs, self._body)

    def _body(self, gradient: Any, **arguments: Any) -> dict[str, Any]:
        floats = [value for value in arguments.values() if value.dtype == tf.float32]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            y = self.function(*arguments.values())
            y = tf.reshape(y, [1]) if y.shape.rank == 0 else y
            total = tf.reduce_sum(tf.cast(y, tf.float32) * gradient)
        found = tape.gradient(total, floats, unconnected_gradients="zero")
        gradients = {f"d{index}": tf.convert_to_tensor(value) for index, value in enumerate(found)}
        return {"y": tf.cast(y, tf.float32)} | gradients


class Family:
    """All cases of a family in one file, and what TensorFlow and both runtimes make of them."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = {case.name: case for case in cases}
        self._inputs = {case.name: case.inputs for case in cases}
        self._lowered = Lowered([case.signature() for case in cases])
        self._on_tflite_runtime: Results | None = None

    def differences(self, name: str) -> Iterator[tuple[str, float]]:
        """How far LiteRT is from TensorFlow, for every output, relative to its largest value."""
        yield from self._compare(name, self._lowered.on_device(name, self._inputs[name]))

    def differences_on_tflite_runtime(self, name: str) -> Iterator[tuple[str, float]]:
        """The same of tflite-runtime, in a process of its own that runs all cases at once."""
        if self._on_tflite_runtime is None:
            self._on_tflite_runtime = _run_on_tflite_runtime(self._lowered.tflite, self._inputs)
        yield from self._compare(name, self._on_tflite_runtime[name])

    def _compare(self, name: str, found: Mapping[str, Array]) -> Iterator[tuple[str, float]]:
        for output, expected in self._lowered.in_tensorflow(name, self._inputs[name]).items():
            scale = max(float(np.abs(expected).max(initial=0.0)), 1e-3)
            same = found[output].shape == expected.shape
            yield output, float(np.abs(found[output] - expected).max(initial=0.0)) / scale if same else np.inf


def check(family: Family, name: str) -> None:
    """Hold one case against TensorFlow, on LiteRT and, where it is installed, on tflite-runtime."""
    found = [("litert", *one) for one in family.differences(name)]
    if TFLITE_RUNTIME.exists() and family.cases[name].on_tflite_runtime:
        found += [("tflite-runtime", *one) for one in family.differences_on_tflite_runtime(name)]
    wrong = [one for one in found if not one[2] <= family.cases[name].tolerance]
    assert not wrong, wrong


def _run_on_tflite_runtime(tflite: bytes, inputs: Results) -> Results:
    with tempfile.TemporaryDirectory() as directory:
        model, fed, found = (Path(directory) / name for name in ("model.tflite", "fed.npz", "found.npz"))
        model.write_bytes(tflite)
        flat = {f"{case}|{name}": value for case, values in inputs.items() for name, value in values.items()}
        np.savez(fed, **flat)  # type: ignore[arg-type]  # names of tensors, not of savez's own arguments
        subprocess.run([TFLITE_RUNTIME, "-c", _RUN, model, fed, found], check=True, capture_output=True)
        results: dict[str, dict[str, Array]] = {case: {} for case in inputs}
        with np.load(found) as values:
            for key in values.files:
                case, name = key.split("|")
                results[case][name] = values[key]
        return results


def of_layer(name: str, layer: Any, shape: tuple[int, ...], **options: Any) -> Case:
    """A Keras layer as a case: a function of its input and of its weights."""
    layer.build((None, *shape[1:]))
    fixed = [variable.value for variable in layer.non_trainable_variables]

    def function(x: Any, *weights: Any) -> Any:
        outputs: Any = layer.stateless_call(list(weights), fixed, x)[0]
        return outputs

    weights = tuple(tuple(variable.shape) for variable in layer.trainable_variables)
    return Case(name, function, (shape, *weights), **options)
