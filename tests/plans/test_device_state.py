"""What a device keeps between rounds goes into `begin` and comes out of `finish`, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from plans import bundle, client, contract
from plans.client import ClientResult
from plans.errors import InvalidPlanError, ProgramError
from plans.manifest import Phase, Port, check_supported
from plans.program import Program
from tests.golden.make_device_state import FIRST, LEDGER
from tests.plans.readings import Column
from wire.tensors import Array, TensorSpec

PLAN = bundle.unpack(LEDGER.read_bytes())
WORK = PLAN.manifest.work("ledger")


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(PLAN.client)


def run(program: Program, readings: list[float], kept: dict[str, Array] | None) -> ClientResult:
    examples = {"temperature": Column("celsius", np.array(readings, np.float32))}
    return client.run(program, WORK, {"first": np.array(FIRST, np.float32)}, examples, seed=1, device_state=kept)


def test_the_plan_keeps_the_contract_and_says_what_it_needs() -> None:
    contract.check(PLAN)
    check_supported(PLAN.manifest)
    assert bundle.pack(PLAN) == LEDGER.read_bytes()
    assert "device_state" in PLAN.manifest.required_features


def test_a_client_goes_on_from_what_it_kept_and_begins_with_what_the_program_says(program: Program) -> None:
    first = run(program, [1, 2, 3, 4, 5], None)
    assert first.device_state == {"seen": FIRST + 15} == {"seen": first.update["total"]}
    assert run(program, [10], first.device_state).device_state == {"seen": FIRST + 25}
    assert run(program, [10], {"seen": np.array(0, np.float32)}).update == {"total": 10}


def test_the_updates_hold_no_state(program: Program) -> None:
    assert run(program, [1], None).update.keys() == {"total"}


WRONG: dict[str, tuple[dict[str, Array], str]] = {
    "missing": ({}, "the device state has no seen"),
    "of another shape": ({"seen": np.zeros(2, np.float32)}, r"expected float32, found float32\[2\]"),
}


@pytest.mark.parametrize(("kept", "message"), WRONG.values(), ids=WRONG)
def test_state_that_is_not_the_plans_is_refused(program: Program, kept: dict[str, Array], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        run(program, [1], kept)


def test_a_program_must_take_and_give_the_state(program: Program) -> None:
    vector = Port(TensorSpec("float32", (2,)))
    for kept, signature in (({}, "begin"), ({"seen": vector}, "begin"), ({"other": vector}, "begin")):
        manifest = replace(PLAN.manifest, phases=(Phase({"ledger": replace(WORK, device_state=kept)}),))
        with pytest.raises(InvalidPlanError, match=f"{signature} must take"):
            contract.check_client(program, manifest)
