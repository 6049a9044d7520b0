"""Runs an exported program on the installed runtime and holds every signature against Keras, before it leaves.

Steps start from values drawn around the model's own, each step anew, so that rounding cannot add up. What is
compared is the step itself, not the parameters after it, where a small learning rate would hide a wrong gradient.

Everything is compared with the runtime's delegate and, fewer times because that is slow, without it: the runtimes' own
kernels round otherwise, and their planner shares memory that the delegate does not (see `model_export.shared_memory`).
Devices of another kind run those kernels.

Tolerance: 1e-5 of the largest expected value, for sums in another order; 1e-6 of the largest value that entered,
for its rounding (float32 itself rounds at 6e-8); and what a step of this optimizer makes of gradients that are rounded
so. A draw may fall on a tie (two equal activations in a pool, two equal classes) that rounding breaks one way here and
another way there: a differing draw is repeated with another, twice at most. A wrong program is wrong in every draw.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model_export.draws import Draw
from model_export.errors import VerificationError
from model_export.learner import SEED, Learner
from model_export.objective import LOSS
from model_export.reference import Reference, Step
from model_export.server_part import CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE
from model_export.works import LEARNING_RATE, PROXIMAL, STATISTICS_WEIGHT, WEIGHT
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
    """Hold `train`, `evaluate`, `infer`, `save` and `restore` against Keras, every group of variables included.

    Raises:
        VerificationError: naming the signature and the tensor.
    """
    _repeat([_compare_conventional], tflite, learner)


def verify_plan(client: bytes, server: bytes, learner: Learner, rates: Mapping[str, float]) -> None:
    """Hold the conventional signatures, both works and the server's part against Keras; see `verify_conventional`.

    Args:
        rates: the hyper-parameters of the server's state.
    """
    server_program = Program(server)

    def compare_train_work(program: Program, reference: Reference, draw: Draw) -> None:
        _compare_train_work(program, reference, draw, proximal=PROXIMAL in rates)

    def compare_server(program: Program, reference: Reference, draw: Draw) -> None:
        _compare_server(server_program, draw, rates)

    comparisons: list[Comparison] = [_compare_conventional, compare_train_work, _compare_evaluate_work, compare_server]
    _repeat(comparisons, client, learner)


def _repeat(comparisons: list[Comparison], tflite: bytes, learner: Learner) -> None:
    reference = Reference(learner)
    for program, steps in ((Program(tflite), _STEPS), (Program(tflite, delegate=False), 1)):
        for index, comparison in enumerate(comparisons):
            for step in range(steps):
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
    start = draw.kept()
    for count in draw.counts():
        batch = draw.batch(count)
        program.call("restore", **start)
        output = program.call("infer", x=batch.x)["output"]
        _same("infer", "output", output, reference.output(start, batch.x))
        _compare_sums("evaluate", program.call("evaluate", **batch.fed), reference.measure(start, *batch.real), count)
        step = reference.step(start, *batch.real)
        _same("train", "loss", program.call("train", **batch.fed)["loss"], np.array([step.loss]))
        _same_steps("train", start, program.call("save", flag=_FLAG), step, draw)


def _compare_train_work(program: Program, reference: Reference, draw: Draw, *, proximal: bool) -> None:
    """Two runs at rates that are not the objective's, since the work must take its rate from the broadcast.

    One step at rate 1 shows the gradient itself; two steps stay near the objective's rate, where no model diverges.
    """
    full, short = draw.counts()
    near = 2 * draw.learner.objective.learning_rate
    # μ such that the proximal term of the second step is about as large as its gradient.
    _compare_training(program, reference, draw, (full,), {LEARNING_RATE: 1.0} | ({PROXIMAL: 1.0} if proximal else {}))
    rates = {LEARNING_RATE: near} | ({PROXIMAL: 0.5 / near} if proximal else {})
    _compare_training(program, reference, draw, (full, short), rates)


def _compare_training(
    program: Program, reference: Reference, draw: Draw, counts: tuple[int, ...], rates: Mapping[str, float]
) -> None:
    learner, start = draw.learner, draw.started()
    begin = {one.name: start[one.name] for one in learner.exchanged}
    begin |= {name: np.array([rate], np.float32) for name, rate in rates.items()}
    program.call("train_begin", **begin, **({} if learner.seed is None else {SEED: start[learner.seed.name]}))
    values, doubt = start, {name: np.zeros(()) for name in start}
    totals: dict[str, Array] = {}
    for count in counts:
        batch = draw.batch(count)
        pull = {one.name: rates.get(PROXIMAL, 0.0) * (values[one.name] - start[one.name]) for one in learner.parameters}
        step = reference.step(values, *batch.real, learning_rate=rates[LEARNING_RATE], pull=pull)
        loss = program.call("train_step", **batch.fed)["loss"]
        _same("train_step", "loss", loss, np.array([step.loss]), 1.0 + sum(map(_largest, doubt.values())) / ROUNDING)
        totals = _added(totals, step.sums)
        values, doubt = step.moved, {name: doubt[name] + step.doubt[name] for name in doubt}
    finished = program.call("train_finish", flag=_FLAG)
    weight: int = sum(counts)
    for name in [WEIGHT, STATISTICS_WEIGHT] if learner.statistics else [WEIGHT]:
        _same("train_finish", name, finished[name], np.array([weight]))
    reached = {one.name: start[one.name] + finished[one.name] / weight for one in learner.exchanged}
    _compare_sums("train_finish", finished, totals, weight)
    _same_steps("train_finish", start, reached, Step(0.0, {}, values, doubt), draw)


def _compare_evaluate_work(program: Program, reference: Reference, draw: Draw) -> None:
    values = draw.started()
    program.call("evaluate_begin", **{one.name: values[one.name] for one in draw.learner.exchanged})
    totals: dict[str, Array] = {}
    for count in draw.counts():
        batch = draw.batch(count)
        sums = reference.measure(values, *batch.real)
        totals = _added(totals, sums)
        loss = program.call("evaluate_step", **batch.fed)["loss"]
        _same("evaluate_step", "loss", loss, sums[LOSS] / count)
    _compare_sums("evaluate_finish", program.call("evaluate_finish", flag=_FLAG), totals, sum(draw.counts()))


def _compare_server(program: Program, draw: Draw, rates: Mapping[str, float]) -> None:
    """θ + η_s Σ/Σn against numpy, what `prepare` passes on, and a round in which nobody counted."""
    exchanged, sums = draw.exchanged(), draw.exchanged()
    bound = {name: np.array([rate], np.float32) for name, rate in ({**rates, CLIENT_LEARNING_RATE: 0.25}).items()}
    state = exchanged | bound
    for weight in (0.0, 7.0):
        fed = {SUM_PREFIX + name: value for name, value in sums.items()}
        for name in [WEIGHT, STATISTICS_WEIGHT] if draw.learner.statistics else [WEIGHT]:
            fed[SUM_PREFIX + name] = np.array([weight], np.float32)
        moved = dict(exchanged)
        if weight:
            faster = dict.fromkeys((one.name for one in draw.learner.parameters), rates[SERVER_LEARNING_RATE])
            moved = {name: value + faster.get(name, 1.0) * sums[name] / weight for name, value in exchanged.items()}
        _all_same("train_update", program.call("train_update", **state, **fed), state | moved)
    passed = {LEARNING_RATE: bound[CLIENT_LEARNING_RATE]} | ({PROXIMAL: bound[PROXIMAL]} if PROXIMAL in bound else {})
    _all_same("train_prepare", program.call("train_prepare", **state), exchanged | passed)
    _all_same("evaluate_prepare", program.call("evaluate_prepare", **state), exchanged)


def _added(totals: Mapping[str, Array], sums: Tensors) -> dict[str, Array]:
    return {name: totals.get(name, 0.0) + value for name, value in sums.items()}


def _compare_sums(signature: str, outputs: Tensors, sums: Tensors, count: int) -> None:
    for name, expected in sums.items():
        _same(signature, f"{name}_count", outputs[f"{name}_count"], np.array([count]))
        _same(signature, f"{name}_sum", outputs[f"{name}_sum"] / count, expected / count)


def _all_same(signature: str, outputs: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name, value in expected.items():
        _same(signature, name, outputs[name], value)


def _same_steps(signature: str, start: Tensors, found: Tensors, step: Step, draw: Draw) -> None:
    """Compare how far two programs moved from the same start.

    A parameter rounds as its own size does, and its gradient as the largest of all gradients, from which it came.
    """
    parameters = [one.name for one in draw.learner.parameters]
    largest_step = max(_largest(step.moved[name] - start[name]) for name in parameters)
    for name in (name for name in start if name in found):
        moved = step.moved[name] - start[name]
        scale = max(_largest(start[name]), largest_step if name in parameters else _largest(moved))
        _same(signature, name, found[name] - start[name], moved, scale, step.doubt[name])


def _same(
    signature: str, tensor: str, found: Array, expected: Array, scale: float = 1.0, doubt: Array | float = 0.0
) -> None:
    """Hold one tensor against another; `scale` is the largest of what entered, `doubt` what is allowed besides."""
    tolerance = TOLERANCE * _largest(expected) + ROUNDING * scale
    difference = _largest(np.maximum(np.abs(found - expected) - doubt, 0)) if found.shape == expected.shape else np.inf
    if not difference <= tolerance:  # a NaN is not smaller either
        raise VerificationError(signature, tensor, difference, tolerance)


def _largest(values: Any) -> float:
    return float(np.abs(values).max(initial=0.0))
