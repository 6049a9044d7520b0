"""A compiled computation is a file: written here, run where there is no TensorFlow."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import federated as fed
from federated.contexts.compiled import CompiledComputation
from federated.language.errors import MisuseError
from plans import bundle
from plans.errors import PlanError
from tests.federated.contexts.agreement import assert_same

pytestmark = pytest.mark.tensorflow

FLOATS = fed.FederatedType(np.float32, fed.CLIENTS)
NUMBER = fed.FederatedType(np.float32, fed.SERVER)
BATCHES = fed.FederatedType(fed.SequenceType({"x": (np.float32, [None, 2]), "n": (np.int32, [None])}), fed.CLIENTS)


@fed.tf_computation
def is_over(reading: Any, threshold: Any) -> Any:
    return tf.cast(reading > threshold, tf.float32)


@fed.federated_computation(FLOATS, NUMBER)
def fraction_over(readings: Any, threshold: Any) -> Any:
    over = fed.federated_map(is_over, (readings, fed.federated_broadcast(threshold)))
    return {"fraction": fed.federated_mean(over), "threshold": threshold}


@fed.tf_computation(BATCHES.member)
def summed(data: Any) -> Any:
    return data.reduce(0.0, lambda a, b: a + tf.reduce_sum(b["x"]) + tf.cast(tf.reduce_sum(b["n"]), tf.float32))


@fed.federated_computation(BATCHES)
def total(data: Any) -> Any:
    return fed.federated_sum(fed.federated_map(summed, data))


@fed.federated_computation(fed.FederatedType({"u": np.float32, "v": (np.int32, [2])}, fed.SERVER))
def kept(state: Any) -> Any:
    return fed.federated_sum(fed.federated_value(1, fed.CLIENTS)), state


@fed.federated_computation(fed.FederatedType([np.float32, np.int32], fed.CLIENTS))
def pairs(both: Any) -> Any:
    return fed.federated_sum(both)


BATCH = {"x": [[1.0, 2.0], [3.0, 4.0]], "n": [5, 6]}
CASES = {
    "server_and_clients": (fraction_over, ([68.5, 70.3, 71.1], 70.0)),
    "batches": (total, ([[BATCH, BATCH], [], [BATCH]],)),
    "one_server_structure": (kept, ({"u": 1.5, "v": [2, 3]},)),
    "one_client_structure": (pairs, ([[1.0, 2], [3.0, 4]],)),
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, CompiledComputation]:
    return {name: fed.compiled(computation, *args) for name, (computation, args) in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_it_is_called_as_the_computation_is(compiled: dict[str, CompiledComputation], name: str) -> None:
    computation, args = CASES[name]
    assert_same(computation(*args), compiled[name](*args))


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same_after_it_was_saved(compiled: dict[str, CompiledComputation], name: str, tmp_path: Path) -> None:
    compiled[name].save(tmp_path / "it.plan")
    loaded = fed.load_compiled(tmp_path / "it.plan")
    assert str(loaded.type_signature) == str(compiled[name].type_signature)
    args = CASES[name][1]
    leaves, again = (tf.nest.flatten(_plain(one(*args))) for one in (compiled[name], loaded))
    for one, other in zip(leaves, again, strict=True):
        np.testing.assert_array_equal(one, other)


def _plain(value: Any) -> Any:
    elements = fed.Struct if isinstance(value, fed.Struct) else (dict, list, tuple)
    if isinstance(value, elements):
        return [_plain(one) for one in (value.values() if isinstance(value, dict) else value)]
    return value


def test_a_loaded_plan_runs_without_tensorflow(compiled: dict[str, CompiledComputation], tmp_path: Path) -> None:
    compiled["server_and_clients"].save(tmp_path / "fraction.plan")
    compiled["batches"].save(tmp_path / "total.plan")
    script = f"""
        import sys
        import federated as fed

        result = fed.load_compiled({str(tmp_path / "fraction.plan")!r})([68.5, 70.3, 71.1], threshold=70.0)
        assert abs(result.fraction - 2 / 3) < 1e-6, result
        assert fed.load_compiled({str(tmp_path / "total.plan")!r})([[{BATCH!r}], []]) == 21.0
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_types_that_say_every_shape_need_no_example_arguments() -> None:
    plan = fed.compiled(fraction_over)
    assert plan([1.0, 3.0], 2.0)["fraction"] == 0.5
    assert plan.plan.initial == {"threshold": 0.0}


def test_example_arguments_are_the_state_that_the_plan_starts_from(compiled: dict[str, CompiledComputation]) -> None:
    assert compiled["server_and_clients"].plan.initial == {"threshold": np.float32(70.0)}


def test_compiling_twice_gives_the_same_bytes() -> None:
    for computation, args in (CASES["server_and_clients"], CASES["batches"]):
        first, second = (bundle.pack(fed.compiled(computation, *args).plan) for _ in range(2))
        assert first == second


def test_a_file_that_is_no_compiled_computation(tmp_path: Path) -> None:
    (tmp_path / "no.plan").write_bytes(b"nothing")
    with pytest.raises(PlanError):
        fed.load_compiled(tmp_path / "no.plan")
    with pytest.raises(MisuseError, match="not of a compiled computation"):
        fed.load_compiled(Path(__file__).parents[2] / "golden" / "linear.plan")
