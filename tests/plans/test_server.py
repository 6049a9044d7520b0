"""The server's part equals numpy, and makes no state that is not finite."""

import numpy as np
import pytest

from plans import server
from plans.errors import ProgramError
from plans.program import Program
from tests.plans.linear import PLAN, STATE, TRAIN

SUMS = {"w": np.array([6, -4], np.float32), "b": np.array(2, np.float32), "weight": np.array(8, np.float32)}


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(PLAN.server)


def test_a_broadcast_is_what_prepare_gives(program: Program) -> None:
    prepared = server.prepare(program, PLAN.manifest, TRAIN, STATE)
    broadcast = prepared.broadcast
    assert prepared.temp == {}
    assert broadcast.keys() == TRAIN.broadcast.keys()
    for name, value in broadcast.items():
        np.testing.assert_array_equal(value, STATE[name], strict=True)


def test_an_update_equals_numpy(program: Program) -> None:
    updated = server.update(program, PLAN.manifest, TRAIN, STATE, SUMS)
    state = updated.state
    assert (updated.metrics, updated.result, updated.carried) == ({}, {}, {})
    assert state.keys() == STATE.keys()
    for name in ("w", "b"):
        expected = STATE[name] + 0.5 * SUMS[name] / 8
        np.testing.assert_allclose(state[name], expected, atol=1e-6)
        assert state[name].dtype == np.float32
        assert state[name].shape == STATE[name].shape
    assert state["server_learning_rate"] == np.float32(0.5)


def test_an_update_is_the_same_every_time(program: Program) -> None:
    first = server.update(program, PLAN.manifest, TRAIN, STATE, SUMS).state
    again = server.update(Program(PLAN.server), PLAN.manifest, TRAIN, STATE, SUMS).state
    assert {name: value.tobytes() for name, value in first.items()} == {
        name: value.tobytes() for name, value in again.items()
    }


def test_a_sum_of_weight_zero_leaves_the_model_as_it_is(program: Program) -> None:
    nothing = {name: np.zeros_like(value) for name, value in SUMS.items()}
    updated = server.update(program, PLAN.manifest, TRAIN, STATE, nothing)
    np.testing.assert_array_equal(updated.state["w"], STATE["w"])


@pytest.mark.parametrize("not_finite", [np.nan, np.inf, np.finfo(np.float32).max])
def test_a_state_that_is_not_finite_is_refused(program: Program, not_finite: float) -> None:
    state = {**STATE, "w": np.array([1, not_finite], np.float32)}
    with pytest.raises(ProgramError, match="update gave NaN or infinity in 'w'"):
        server.update(program, PLAN.manifest, TRAIN, state, SUMS)


def test_a_work_that_changes_no_state_has_no_update(program: Program) -> None:
    with pytest.raises(ProgramError, match="a work for evaluate leaves the server's state as it is"):
        server.update(program, PLAN.manifest, PLAN.manifest.work("evaluate"), STATE, SUMS)


def test_sums_that_do_not_fit_are_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match=r"expected float32\[2\], found float32\[3\]"):
        server.update(program, PLAN.manifest, TRAIN, STATE, {**SUMS, "w": np.zeros(3, np.float32)})
