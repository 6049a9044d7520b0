"""Whatever a program is made of, the plan of it comes to what the local context comes to.

Few of these: each example is a compilation. `tests/federated/compiler/test_random_programs.py` tries many more, without
writing files.
"""

import os
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, given, settings

import federated as fed
from tests.federated.contexts.agreement import same_outcome
from tests.federated.programs import Functions, Step, arguments, program, steps

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]

EXAMPLES = int(os.environ.get("FEDELTA_PLANS", "15"))


def _function(*types: Any) -> Any:
    return fed.tf_computation(*types)


FUNCTIONS = Functions(
    mix=_function(np.float32, np.float32)(lambda a, b: a * 0.5 + b * 0.25),
    most=_function(np.float32, np.float32)(tf.maximum),
    add=_function(np.int32, np.int32)(lambda a, b: a + b),
    float_of=_function(np.int32)(lambda n: tf.cast(n, tf.float32)),
    weight=_function(np.float32)(lambda x: tf.abs(x) + 0.5),
    count=_function(np.int32, np.float32)(lambda total, x: total + tf.cast(tf.floor(x), tf.int32)),
    same=_function(np.int32)(lambda n: n),
)


# Shrinking would compile for minutes.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps, arguments())
def test_a_plan_comes_to_what_the_program_means(given_steps: list[Step], values: tuple[Any, ...]) -> None:
    computation = program(FUNCTIONS, given_steps)

    def planned() -> Any:
        with fed.plan_context():
            return computation(*values)

    same_outcome(lambda: computation(*values), planned)
