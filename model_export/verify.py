"""Runs an exported program on the installed runtime and holds every signature against Keras, before it leaves.

Steps start from parameters drawn around the model's own, each step anew, so that rounding cannot add up. Float32 sums
in another order differ by 3e-7 at most over one step (measured, facts/tflite.md section 5); 1e-5, relative to the
largest value, leaves room for larger models and none for a wrong formula. A draw may fall on a tie (two equal
activations in a pool, two equal classes) that rounding breaks one way here and another way there: a differing draw is
repeated with another, twice at most. A wrong program is wrong in every draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_export.errors import VerificationError
from model_export.learner import Learner
from model_export.reference import Reference
from model_export.server_part import CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE
from model_export.works import LEARNING_RATE, WEIGHT
from plans.program import Program
from plans.server import SUM_PREFIX
from wire.tensors import Array

TOLERANCE = 1e-5
_STEPS = 5
_DRAWS = 3
_NOISE = 0.05
_FLAG = np.ones([1], np.float32)


@dataclass(frozen=True)
class Batch:
    """A batch as a device feeds it: the first `count` examples are real, the others padding of weight zero."""

    x: Array
    y: Array
    count: int

    @property
    def fed(self) -> dict[str, Array]:
        """The inputs of a step."""
        return {"x": self.x, "y": self.y, "weight": (np.arange(len(self.y)) < self.count).astype(np.float32)}

    @property
    def real(self) -> tuple[Array, Array]:
        """The examples without the padding."""
        return self.x[: self.count], self.y[: self.count]


@dataclass(frozen=True)
class Draw:
    """Random parameters and batches for one comparison."""

    learner: Learner
    random: np.random.Generator

    def parameters(self) -> dict[str, Array]:
        """The model's parameters with some noise."""
        return {
            one.name: (one.value + _NOISE * self.random.standard_normal(one.value.shape)).astype(one.spec.dtype)
            for one in self.learner.model.parameters
        }

    def batch(self, count: int) -> Batch:
        """A batch of `count` random examples; the padding is not zero, since padding may hold anything."""
        spec = self.learner.batch["x"]
        if spec.dtype == "float32":
            x = self.random.standard_normal(spec.shape).astype(np.float32)
        else:
            x = self.random.integers(0, 256 if spec.dtype == "uint8" else 2, spec.shape).astype(spec.dtype)
        y = self.random.integers(0, self.learner.model.classes, self.learner.batch_size).astype(np.int32)
        return Batch(x, y, count)

    def counts(self) -> tuple[int, int]:
        """A full batch and a short one."""
        return self.learner.batch_size, max(self.learner.batch_size // 2, 1)


Comparison = Callable[[Program, Reference, Draw], None]


def verify_conventional(tflite: bytes, learner: Learner) -> None:
    """Hold `train`, `evaluate`, `infer`, `save` and `restore` against Keras.

    Raises:
        VerificationError: naming the signature and the tensor.
    """
    _repeat([_compare_conventional], Program(tflite), learner)


def verify_plan(client: bytes, server: bytes, learner: Learner, server_learning_rate: float) -> None:
    """Hold the conventional signatures, both works and the server's part against Keras; see `verify_conventional`."""
    server_program = Program(server)

    def compare_server(program: Program, reference: Reference, draw: Draw) -> None:
        _compare_server(server_program, draw, server_learning_rate)

    _repeat(
        [_compare_conventional, _compare_train_work, _compare_evaluate_work, compare_server], Program(client), learner
    )


def _repeat(comparisons: list[Comparison], program: Program, learner: Learner) -> None:
    reference = Reference(learner.model, learner.objective)
    for index, comparison in enumerate(comparisons):
        for step in range(_STEPS):
            _compare_in_draws(comparison, program, reference, learner, (index, step))


def _compare_in_draws(
    comparison: Comparison, program: Program, reference: Reference, learner: Learner, seed: tuple[int, int]
) -> None:
    for attempt in range(1, _DRAWS + 1):
        try:
            return comparison(program, reference, Draw(learner, np.random.default_rng([*seed, attempt])))
        except VerificationError:
            if attempt == _DRAWS:
                raise
    return None


def _compare_conventional(program: Program, reference: Reference, draw: Draw) -> None:
    parameters = draw.parameters()
    values = list(parameters.values())
    for count in draw.counts():
        batch = draw.batch(count)
        program.call("restore", **parameters)
        output = program.call("infer", x=batch.x)["output"]
        _same("infer", "output", output, reference.output(values, batch.x))
        _compare_sums("evaluate", program.call("evaluate", **batch.fed), reference.measure(values, *batch.real), count)
        loss, moved = reference.step(values, *batch.real)
        _same("train", "loss", program.call("train", **batch.fed)["loss"], np.array([loss]))
        saved = program.call("save", flag=_FLAG)
        for name, expected in zip(parameters, moved, strict=True):
            _same("train", name, saved[name], expected)


def _compare_train_work(program: Program, reference: Reference, draw: Draw) -> None:
    parameters = draw.parameters()
    rate = np.array([draw.learner.objective.learning_rate], np.float32)
    program.call("train_begin", **parameters, **{LEARNING_RATE: rate})
    values, losses = list(parameters.values()), 0.0
    for count in draw.counts():
        batch = draw.batch(count)
        loss, moved = reference.step(values, *batch.real)
        _same("train_step", "loss", program.call("train_step", **batch.fed)["loss"], np.array([loss]))
        values, losses = moved, losses + loss * count
    finished = program.call("train_finish", flag=_FLAG)
    weight = float(sum(draw.counts()))
    _same("train_finish", WEIGHT, finished[WEIGHT], np.array([weight]))
    _same("train_finish", "loss_sum", finished["loss_sum"] / weight, np.array([losses / weight]))
    for (name, anchor), value in zip(parameters.items(), values, strict=True):
        _same("train_finish", name, finished[name] / weight, value - anchor)


def _compare_evaluate_work(program: Program, reference: Reference, draw: Draw) -> None:
    parameters = draw.parameters()
    program.call("evaluate_begin", **parameters)
    totals: dict[str, float] = {}
    for count in draw.counts():
        batch = draw.batch(count)
        program.call("evaluate_step", **batch.fed)
        for name, value in reference.measure(list(parameters.values()), *batch.real).items():
            totals[name] = totals.get(name, 0.0) + value
    _compare_sums("evaluate_finish", program.call("evaluate_finish", flag=_FLAG), totals, sum(draw.counts()))


def _compare_server(program: Program, draw: Draw, server_learning_rate: float) -> None:
    """θ + η_s Σ/Σn against numpy, what `prepare` passes on, and a round in which nobody counted."""
    parameters, sums = draw.parameters(), draw.parameters()
    rates = {CLIENT_LEARNING_RATE: np.array([0.25], np.float32)}
    rates[SERVER_LEARNING_RATE] = np.array([server_learning_rate], np.float32)
    state = parameters | rates
    for weight in (0.0, 7.0):
        fed = {SUM_PREFIX + name: value for name, value in sums.items()}
        fed[SUM_PREFIX + WEIGHT] = np.array([weight], np.float32)
        moved = {
            name: value + server_learning_rate * sums[name] / weight for name, value in parameters.items() if weight
        }
        _all_same("train_update", program.call("train_update", **state, **fed), state | moved)
    learning_rate = {LEARNING_RATE: rates[CLIENT_LEARNING_RATE]}
    _all_same("train_prepare", program.call("train_prepare", **state), parameters | learning_rate)
    _all_same("evaluate_prepare", program.call("evaluate_prepare", **state), parameters)


def _compare_sums(signature: str, outputs: Mapping[str, Array], sums: Mapping[str, float], count: int) -> None:
    for name, expected in sums.items():
        _same(signature, f"{name}_count", outputs[f"{name}_count"], np.array([count]))
        _same(signature, f"{name}_sum", outputs[f"{name}_sum"] / count, np.array([expected / count]))


def _all_same(signature: str, outputs: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, value in expected.items():
        _same(signature, name, outputs[name], value)


def _same(signature: str, tensor: str, found: Array, expected: Any) -> None:
    tolerance = TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0.0)))
    difference = float(np.abs(found - expected).max(initial=0.0))
    if found.shape != expected.shape or not difference <= tolerance:  # a NaN is not smaller either
        raise VerificationError(signature, tensor, difference, tolerance)
