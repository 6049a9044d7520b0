"""Whatever a program is made of, the draft of its plan comes to what the local context comes to."""

import os
from typing import Any

import numpy as np
from hypothesis import given, settings

from tests.federated.compiler.draft_runner import draft_of, run_draft
from tests.federated.contexts.agreement import same_outcome
from tests.federated.numpy_computations import numpy_computation
from tests.federated.programs import Functions, Step, arguments, program, steps
from wire import codec

EXAMPLES = int(os.environ.get("FEDELTA_PROGRAMS", "60"))


def _function(parameter: Any, result: Any, function: Any) -> Any:
    def computed(*values: Any) -> Any:
        return np.asarray(function(*values), result)

    computed.__name__ = function.__name__
    return numpy_computation(parameter, result)(computed)


def mix(a: Any, b: Any) -> Any:
    return a * np.float32(0.5) + b * np.float32(0.25)


def weight(x: Any) -> Any:
    return np.abs(x) + np.float32(0.5)


def count(total: Any, x: Any) -> Any:
    return total * 1 + np.asarray(np.floor(x)).astype(np.int32)


FLOATS, INTS = [np.float32, np.float32], [np.int32, np.int32]
FUNCTIONS = Functions(
    mix=_function(FLOATS, np.float32, mix),
    most=_function(FLOATS, np.float32, np.maximum),
    add=_function(INTS, np.int32, np.add),
    float_of=_function(np.int32, np.float32, np.positive),
    weight=_function(np.float32, np.float32, weight),
    count=_function([np.int32, np.float32], np.int32, count),
    same=_function(np.int32, np.int32, np.positive),
)


@settings(max_examples=EXAMPLES)
@given(steps, arguments())
def test_a_draft_comes_to_what_the_program_means(given_steps: list[Step], values: tuple[Any, ...]) -> None:
    computation = program(FUNCTIONS, given_steps)
    same_outcome(lambda: computation(*values), lambda: run_draft(computation, *values))


@settings(max_examples=EXAMPLES // 3)
@given(steps)
def test_a_program_compiles_to_the_same_manifest_each_time(given_steps: list[Step]) -> None:
    values = ([1.0], [2], [[0.5, 0.25]], 1.5, 3)
    first, second = (draft_of(program(FUNCTIONS, given_steps), *values) for _ in range(2))
    assert codec.dumps(first.manifest) == codec.dumps(second.manifest)
    assert [s.name for s in first.client.signatures] == [s.name for s in second.client.signatures]
