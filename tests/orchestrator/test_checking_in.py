"""A check-in gives a device one place in one round, however often and however many devices ask."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from plans import bundle
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import encoded
from tests.orchestrator.rows import CHECK_IN
from tests.orchestrator.serving import Population, until
from wire import routes, statements, tensors
from wire.messages import CollectionSummary, Outcome, Report, UploadPart
from wire.operator_messages import DeviceView


def test_an_assignment_says_all_that_a_device_needs(population: Population) -> None:
    device, task = population.device(), population.push(cohort=1, selection_deadline_seconds=7)
    assignment = device.work()
    assert (assignment.task_id, assignment.task_name, assignment.work) == (task.task_id, "linear", "train")
    assert assignment.round_number == 1
    assert assignment.deadline_seconds == 600
    assert 0 <= assignment.seed < 1 << 31
    assert assignment.upload == (UploadPart("PUT", routes.update(assignment.assignment_id), 0, len(encoded())),)
    assert device.fetch(assignment.plan.resource) == LINEAR.read_bytes()
    broadcast = tensors.decode(device.fetch(assignment.broadcast))
    assert broadcast.keys() == {"w", "b", "client_learning_rate"}


def test_the_plan_comes_with_a_statement_under_the_pinned_key(population: Population) -> None:
    device = population.stranger()
    (key,) = device.enrol(population.token()).plan_keys
    device.open_session()
    task = population.push(cohort=1)
    signed = device.work().plan
    raw = statements.from_base64(key.key, "$")
    Ed25519PublicKey.from_public_bytes(raw).verify(
        statements.from_base64(signed.signature, "$"), statements.plan(signed.statement)
    )
    assert signed.statement.plan_sha256 == signed.resource.sha256 == bundle.digest(LINEAR.read_bytes())
    assert (signed.statement.task_id, signed.statement.population) == (task.task_id, population.name)
    assert (signed.statement.key_id, signed.statement.algorithm) == (key.key_id, key.algorithm)
    assert signed.statement.expires > population.orchestrator.clock.now


def test_a_device_whose_answer_was_lost_gets_the_same_assignment(population: Population) -> None:
    population.push(cohort=2)
    device = population.device()
    first = device.work()
    assert device.work() == first
    device.open_session()
    assert device.work() == first


def test_a_device_without_work_is_told_when_to_come_back(population: Population) -> None:
    reply = population.device().check_in()
    assert reply.rejection is not None
    assert 2.5 <= reply.rejection.retry_after_seconds <= 7.5
    assert reply.rejection.reason == "no round wants this device now"


def test_a_check_in_is_remembered_for_operators(population: Population) -> None:
    device = population.device()
    device.check_in(replace(CHECK_IN, attributes={"model": "pi-4 😀"}))

    def view_of_device() -> DeviceView | None:
        views = (view for view in population.operator.devices() if view.device_id == device.device_id)
        return next((view for view in views if view.last_seen_at is not None), None)

    view = until(view_of_device)
    assert view.attributes == {"model": "pi-4 😀"}
    assert view.interpreter == "ai-edge-litert 2.3.0"
    assert view.last_seen_at == population.orchestrator.clock.now


def test_fifty_check_ins_of_one_device_at_once_give_one_assignment(population: Population) -> None:
    population.push(cohort=4)
    device = population.device()
    with ThreadPoolExecutor(50) as pool:
        assignments = list(pool.map(lambda _: device.work(), range(50)))
    assert len({assignment.assignment_id for assignment in assignments}) == 1


def test_a_round_never_selects_more_than_its_cohort(population: Population) -> None:
    task = population.push(cohort=5)
    devices = population.devices(15)
    with ThreadPoolExecutor(30) as pool:
        replies = list(pool.map(lambda device: (device.device_id, device.check_in()), devices * 2))
    given = Counter(device_id for device_id, reply in replies if reply.assignment is not None)
    assert len(given) == 5
    assert len({reply.assignment.assignment_id for _, reply in replies if reply.assignment is not None}) == 5
    assert population.round_in(task.task_id, 1, "reporting").assigned == 5


def test_a_device_takes_part_in_a_round_once(population: Population) -> None:
    population.push(cohort=2)
    device, _ = population.devices(2)
    device.report(device.work().assignment_id, Report(Outcome.DECLINED, reason="busy"))
    assert device.check_in().assignment is None


def test_a_device_works_for_one_round_at_a_time_and_then_for_the_next(population: Population) -> None:
    tasks = {population.push(cohort=2).task_id, population.push(cohort=2).task_id}
    device = population.device()
    first = device.work()
    device.finish(first, encoded())
    second = device.work()
    assert {first.task_id, second.task_id} == tasks


def test_a_round_that_has_begun_is_filled_before_another_begins(population: Population) -> None:
    for _ in range(3):
        population.push(cohort=3)
    given = [device.work().task_id for device in population.devices(9)]
    assert [len(set(given[start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]
    assert len(set(given)) == 3


def test_another_populations_devices_are_not_selected(population: Population) -> None:
    population.push(cohort=1)
    other = population.orchestrator.population(population.name + "-other")
    assert other.device().check_in().assignment is None


def test_only_devices_that_a_task_wants_are_selected(population: Population) -> None:
    population.push(cohort=1, attributes={"place": "garden"}, minimum_examples=8)
    device = population.device()
    few = (CollectionSummary("default", 4),)
    assert device.check_in().assignment is None
    assert device.check_in(replace(CHECK_IN, attributes={"place": "garden"}, collections=few)).assignment is None
    assert device.check_in(replace(CHECK_IN, attributes={"place": "garden"})).assignment is not None
