"""Runs an exported program on the installed runtime and holds every signature against Keras, before it leaves.

Steps start from parameters drawn around the model's own, each step anew, so that rounding cannot add up. What is
compared is the step itself, not the parameters after it, where a small learning rate would hide a wrong gradient.

Tolerance: 1e-5 of the largest expected value, for sums in another order, and 1e-6 of the largest value that entered,
for its rounding; float32 itself rounds at 6e-8. A draw may fall on a tie (two equal activations in a pool, two
equal classes) that rounding breaks one way here and another way there: a differing draw is repeated with another, twice
at most. A wrong program is wrong in every draw.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from model_export.draws import Draw
from model_export.errors import VerificationError
from model_export.learner import Learner
from model_export.objective import LOSS
from model_export.reference import Reference
from model_export.server_part import CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE
from model_export.works import LEARNING_RATE, WEIGHT
from plans.program import Program
from plans.server import SUM_PREFIX
from wire.tensors import Array, Tensors

TOLERANCE = 1e-5
ROUNDING = 1e-6
_STEPS = 5
_DRAWS = 3
_FLAG = np.ones([1], np.float32)


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
        _same_steps("train", parameters, saved, dict(zip(parameters, moved, strict=True)))


def _compare_train_work(program: Program, reference: Reference, draw: Draw) -> None:
    """Two runs at rates that are not the objective's, since the work must take its rate from the broadcast.

    One step at rate 1 shows the gradient itself; two steps stay near the objective's rate, where no model diverges.
    """
    full, short = draw.counts()
    _compare_training(program, reference, draw, 1.0, (full,))
    _compare_training(program, reference, draw, 2 * draw.learner.objective.learning_rate, (full, short))


def _compare_training(
    program: Program, reference: Reference, draw: Draw, learning_rate: float, counts: tuple[int, ...]
) -> None:
    parameters = draw.parameters()
    program.call("train_begin", **parameters, **{LEARNING_RATE: np.array([learning_rate], np.float32)})
    values = list(parameters.values())
    totals: Counter[str] = Counter()
    for count in counts:
        batch = draw.batch(count)
        totals.update(reference.measure(values, *batch.real))
        loss, values = reference.step(values, *batch.real, learning_rate)
        _same("train_step", "loss", program.call("train_step", **batch.fed)["loss"], np.array([loss]))
    finished = program.call("train_finish", flag=_FLAG)
    weight = sum(counts)
    _same("train_finish", WEIGHT, finished[WEIGHT], np.array([weight]))
    _compare_sums("train_finish", finished, totals, weight)
    reached = {name: anchor + finished[name] / weight for name, anchor in parameters.items()}
    _same_steps("train_finish", parameters, reached, dict(zip(parameters, values, strict=True)))


def _compare_evaluate_work(program: Program, reference: Reference, draw: Draw) -> None:
    parameters = draw.parameters()
    program.call("evaluate_begin", **parameters)
    totals: Counter[str] = Counter()
    for count in draw.counts():
        batch = draw.batch(count)
        sums = reference.measure(list(parameters.values()), *batch.real)
        totals.update(sums)
        loss = program.call("evaluate_step", **batch.fed)["loss"]
        _same("evaluate_step", "loss", loss, np.array([sums[LOSS] / count]))
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


def _same_steps(signature: str, start: Tensors, found: Tensors, expected: Tensors) -> None:
    """Compare how far two programs moved from the same start.

    A parameter rounds as its own size does, and its gradient as the largest of all gradients, from which it came.
    """
    steps = {name: expected[name] - value for name, value in start.items()}
    largest_step = max(map(_largest, steps.values()))
    for name, step in steps.items():
        scale = max(_largest(start[name]), largest_step)
        _same(signature, name, found[name] - start[name], step, scale)


def _same(signature: str, tensor: str, found: Array, expected: Array, scale: float = 1.0) -> None:
    tolerance = TOLERANCE * _largest(expected) + ROUNDING * scale
    difference = _largest(found - expected) if found.shape == expected.shape else np.inf
    if not difference <= tolerance:  # a NaN is not smaller either
        raise VerificationError(signature, tensor, difference, tolerance)


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))
