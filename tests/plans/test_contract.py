"""A plan whose programs are not what its manifest says is refused before anything runs."""

from dataclasses import replace
from typing import Any

import pytest

from plans import contract
from plans.errors import InvalidPlanError, ProgramError
from plans.manifest import Aggregation, Group, Kind, Manifest, Phase, Port, StateTensor
from plans.program import Program
from tests.plans.linear import PASS, PLAN, SELECTOR, TRAIN, with_pass, with_work
from wire.tensors import TensorSpec

SCALAR, VECTOR = TRAIN.update["weight"], TRAIN.update["w"]
RANK_0 = Port(TensorSpec("float32", ()))
LONG = Port(TensorSpec("int64", (2,)))


def with_state(**changes: Port) -> Manifest:
    state = {name: StateTensor(port, Group.OTHER) for name, port in changes.items()}
    return replace(PLAN.manifest, state=PLAN.manifest.state | state)


CLIENT: dict[str, tuple[Manifest, str]] = {
    "no begin": (with_work(begin="begin"), "work 'train': the program has no signature 'begin'; it has evaluate_begin"),
    "no step": (with_pass(step="begin"), "no signature 'begin'"),
    "no finish": (with_work(finish="end"), "no signature 'end'"),
    "a broadcast of another shape": (
        with_work(broadcast=TRAIN.broadcast | {"w": SCALAR}),
        r"train_begin must take b=float32\[1\], client_learning_rate=float32\[1\], w=float32\[1\]; it takes",
    ),
    "a broadcast of rank zero": (with_work(broadcast=TRAIN.broadcast | {"b": RANK_0}), "must take b=float32, client"),
    "a broadcast too few": (with_work(broadcast={"w": VECTOR}), r"must take w=float32\[2\]; it takes b="),
    "a broadcast of none": (with_work(broadcast={}), r"must take flag=float32\[1\]"),
    "a seed that begin does not take": (with_work(seed="seed"), r"must take .*seed=int32\[1\]"),
    "another batch size": (
        with_pass(selector=replace(SELECTOR, batch_size=8)),
        r"train_step must take example_weight=float32\[8\], x=float32\[8,2\], y=float32\[8\]",
    ),
    "an input of another dtype": (with_pass(inputs=PASS.inputs | {"x": LONG}), r"must take .*x=int64\[4,2\]"),
    "another example weight": (with_pass(example_weight="mask"), r"must take mask=float32\[4\]"),
    "an update that finish does not give": (
        with_work(update=TRAIN.update | {"v": VECTOR}),
        r"train_finish must give v=float32\[2\]; it gives",
    ),
    "a metric that finish does not give": (with_work("evaluate", metrics={"m": SCALAR}), "work 'evaluate': evaluate_f"),
}
SERVER: dict[str, tuple[Manifest, str]] = {
    "no prepare": (with_work(prepare="make"), "no signature 'make'"),
    "no update": (with_work(update_state="apply"), "no signature 'apply'"),
    "a state of another shape": (with_state(w=SCALAR), r"prepare must take .*w=float32\[1\]"),
    "a state too many": (with_state(extra=SCALAR), r"prepare must take .*extra=float32\[1\]"),
    "a broadcast that prepare does not give": (
        with_work(broadcast=TRAIN.broadcast | {"c": SCALAR}),
        r"train_prepare must give c=float32\[1\]",
    ),
    "a sum that update does not take": (
        with_work(
            update=TRAIN.update | {"v": VECTOR}, aggregation=(*TRAIN.aggregation, Aggregation("v", Kind.SUM, ("v",)))
        ),
        r"train_update must take .*sum_v=float32\[2\]",
    ),
    "a server's metric that update does not give": (
        with_work(server_metrics={"norm": SCALAR}),
        r"train_update must give norm=float32\[1\]",
    ),
    "a state that is called like a sum": (
        replace(with_state(sum_w=VECTOR), phases=(Phase({"train": TRAIN}),)),
        "train_update takes 'sum_w' as a sum and as the server's state",
    ),
}


def test_the_golden_plan_keeps_the_contract() -> None:
    contract.check(PLAN)


@pytest.mark.parametrize(("manifest", "message"), CLIENT.values(), ids=CLIENT)
def test_a_client_program_that_is_not_the_manifests_is_refused(manifest: Manifest, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        contract.check_client(Program(PLAN.client), manifest)


@pytest.mark.parametrize(("manifest", "message"), SERVER.values(), ids=SERVER)
def test_a_server_program_that_is_not_the_manifests_is_refused(manifest: Manifest, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        contract.check_server(Program(PLAN.server), manifest)


@pytest.mark.parametrize("manifest", [CLIENT["no step"][0], SERVER["no update"][0]])
def test_both_programs_of_a_plan_are_checked(manifest: Manifest) -> None:
    with pytest.raises(InvalidPlanError, match="no signature"):
        contract.check(replace(PLAN, manifest=manifest))


def test_a_manifest_that_contradicts_itself_is_refused_first() -> None:
    with pytest.raises(InvalidPlanError, match="every tensor of the update is aggregated once"):
        contract.check(replace(PLAN, manifest=with_work(aggregation=())))


@pytest.mark.parametrize("part", ["client", "server"])
def test_a_program_that_cannot_be_loaded_is_refused(part: str) -> None:
    programs: dict[str, Any] = {part: b"no program"}
    with pytest.raises(ProgramError, match="cannot load"):
        contract.check(replace(PLAN, **programs))
