"""Uses a runtime as devices do, in an environment of its own: `python -m tests.plans.probe delegate|plain`.

Needs numpy and a runtime only, for it runs where devices do. Prints a JSON object with what each check found wrong.
`PROBE_WITHOUT` names modules that this process shall not find.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from plans.errors import ProgramError
from plans.program import Program
from plans.runtime import installed_runtime
from tests.golden.make_refused import SUM_OF_RANK_SEVEN
from tests.plans.linear import PLAN, rows, trained
from wire.tensors import Array

STEPS_WITHOUT_A_LEAK = 10_000
_MOST_GROWTH_BYTES = 3 << 20
_FLAG = np.ones(1, np.float32)
_BEGIN = {"w": np.array([1, 2], np.float32), "b": np.array([3], np.float32)}


def _begin(program: Program, learning_rate: float = 0.1) -> None:
    program.call("train_begin", **_BEGIN, client_learning_rate=np.array([learning_rate], np.float32))


def _batch(seed: int) -> dict[str, Array]:
    examples = rows(4, seed)
    return {"x": examples.x, "y": examples.y, "example_weight": np.ones(4, np.float32)}


def _finish(program: Program) -> Mapping[str, Array]:
    return program.call("train_finish", flag=_FLAG)


def _check_training(program: Program, seed: int) -> None:
    """Twenty steps on one batch, against numpy."""
    _begin(program)
    for _ in range(20):
        program.call("train_step", **_batch(seed))
    expected, found = trained(rows(4, seed), [[0, 1, 2, 3]] * 20), _finish(program)
    for name in ("w", "b", "weight", "loss_sum"):
        np.testing.assert_allclose(found[name].reshape(np.shape(expected[name])), expected[name], rtol=1e-4, atol=1e-4)


def training_equals_numpy(delegate: bool) -> None:
    for seed in range(3):
        _check_training(Program(PLAN.client, delegate=delegate), seed)


def variables_survive_another_allocation(delegate: bool) -> None:
    interpreter = installed_runtime().open(PLAN.client, threads=1, delegate=delegate)
    interpreter.allocate_tensors()
    interpreter.get_signature_runner("train_begin")(**_BEGIN, client_learning_rate=_FLAG)
    interpreter.get_signature_runner("train_step")(**_batch(1))
    before = interpreter.get_signature_runner("train_finish")(flag=_FLAG)
    interpreter.allocate_tensors()
    again = interpreter.get_signature_runner("train_finish")(flag=_FLAG)
    assert before["weight"] == 4
    assert all(np.array_equal(before[name], again[name]) for name in before)


def what_nobody_can_change_is_still_there(delegate: bool) -> None:
    """Clients that begin with the same frozen arrays, which go in once, and with arrays that go in each time."""
    once, anew = (Program(PLAN.client, delegate=delegate) for _ in range(2))
    frozen = {name: value.copy() for name, value in _BEGIN.items()} | {"client_learning_rate": _FLAG.copy()}
    for value in frozen.values():
        value.flags.writeable = False
    for seed in range(3):
        found = []
        for program, begin in ((once, frozen), (anew, {name: value.copy() for name, value in frozen.items()})):
            program.call("train_begin", **begin)
            assert len(list(program.steps("train_step", [_batch(seed), _batch(seed + 1)]))) == 2
            found.append(_finish(program))
        assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def many_steps_leak_nothing(delegate: bool) -> None:
    program, batch = Program(PLAN.client, delegate=delegate), _batch(1)
    _begin(program, 0.0)
    for _ in range(500):  # until every pool has its size
        program.call("train_step", **batch)
    before = _resident_bytes()
    for _ in range(STEPS_WITHOUT_A_LEAK):
        program.call("train_step", **batch)
    growth = _resident_bytes() - before
    assert growth < _MOST_GROWTH_BYTES, f"{growth} bytes more after {STEPS_WITHOUT_A_LEAK} steps"


def threads_do_not_disturb_each_other(delegate: bool) -> None:
    programs = [Program(PLAN.client, delegate=delegate) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            list(pool.map(_check_training, programs, (1, 2)))


def a_refused_call_leaves_the_next_one_working(delegate: bool) -> None:
    program = Program(PLAN.client, delegate=delegate)
    for _ in range(20):
        for changed in (np.ones((3, 2), np.float32), np.ones((4, 2)), np.float32(1)):
            try:
                program.call("train_step", **{**_batch(1), "x": np.asarray(changed)})
            except ProgramError:
                continue
            raise AssertionError("a call that does not fit went through")
        _check_training(program, 1)


def a_file_that_the_delegate_refuses_runs_nevertheless(delegate: bool) -> None:
    program = Program(SUM_OF_RANK_SEVEN.read_bytes(), delegate=None if delegate else False)
    assert program.call("count", x=_FLAG)["calls"] == 1
    sums = program.call("add_up", x=np.ones((2,) * 7, np.float32))
    np.testing.assert_array_equal(sums["sums"], np.full((2,) * 4, 8, np.float32))
    assert sums["calls"] == 2  # the variable was not lost on the way


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


CHECKS: tuple[Callable[[bool], None], ...] = (
    training_equals_numpy,
    variables_survive_another_allocation,
    what_nobody_can_change_is_still_there,
    many_steps_leak_nothing,
    threads_do_not_disturb_each_other,
    a_refused_call_leaves_the_next_one_working,
    a_file_that_the_delegate_refuses_runs_nevertheless,
)


def _complaint(check: Callable[[bool], None], *, delegate: bool) -> str:
    try:
        check(delegate)
    except Exception as error:  # the test shows it
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    for module in os.environ.get("PROBE_WITHOUT", "").split():
        sys.modules[module] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    found = {check.__name__: _complaint(check, delegate=sys.argv[1] == "delegate") for check in CHECKS}
    print(json.dumps({"runtime": installed_runtime().name, "complaints": found}))
