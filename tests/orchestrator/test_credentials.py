"""API keys and enrolment tokens: listed, renamed and revoked; and what becomes of a revoked device."""

from pathlib import Path

import pytest

from federated.cli.main import main
from tests.orchestrator.device import encoded
from tests.orchestrator.http import RefusedError
from tests.orchestrator.serving import Orchestrator, Population
from wire.errors import ErrorCode, OperatorError
from wire.messages import Outcome, Report
from wire.operator import OperatorClient


def cli(orchestrator: Orchestrator, *arguments: str) -> int:
    return main([*arguments, "--url", orchestrator.url, "--api-key", orchestrator.api_key])


def test_an_api_key_is_made_renamed_and_revoked(own: Orchestrator) -> None:
    own.clock.sleep(1)
    made = own.operator.make_api_key("laptop")
    other = OperatorClient(own.url, made.api_key)
    assert [(key.name, key.revoked_at) for key in other.api_keys()] == [("first", None), ("laptop", None)]
    assert other.rename_api_key(made.key_id, "phone").name == "phone"
    assert own.operator.revoke_api_key(made.key_id).revoked_at == own.clock.now
    with pytest.raises(OperatorError, match="unknown or revoked"):
        list(other.tasks())
    assert [(key.name, key.revoked_at) for key in own.operator.api_keys()] == [
        ("first", None),
        ("phone", own.clock.now),
    ]
    own.clock.sleep(5)
    assert own.operator.revoke_api_key(made.key_id).revoked_at == own.clock.now - 5


def test_the_last_good_key_stays(own: Orchestrator) -> None:
    (only,) = own.operator.api_keys()
    with pytest.raises(OperatorError, match="only API key that is good") as refused:
        own.operator.revoke_api_key(only.key_id)
    assert refused.value.code == ErrorCode.CONFLICT
    assert list(own.operator.api_keys()) == [only]


@pytest.mark.parametrize("name", ["", "a" * 101, "a\nb"])
def test_a_key_has_a_printable_name(orchestrator: Orchestrator, name: str) -> None:
    with pytest.raises(ValueError, match="name has"):
        orchestrator.operator.make_api_key(name)


def test_what_is_not_there_is_not_found(orchestrator: Orchestrator) -> None:
    operator = orchestrator.operator
    for call in (
        lambda: operator.rename_api_key("0" * 16, "a"),
        lambda: operator.revoke_api_key("0" * 16),
        lambda: operator.revoke_token("0" * 16),
        lambda: operator.device("nobody"),
        lambda: operator.revoke_device("nobody"),
        lambda: operator.round("no-task", 1),
    ):
        with pytest.raises(OperatorError) as refused:
            call()
        assert refused.value.code == ErrorCode.NOT_FOUND


def test_a_lost_key_is_replaced_on_the_data_folder(own: Orchestrator, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--data-dir", str(own.folder), "--new-api-key", "recovered"]
    assert main(command) == 1  # it is being served
    assert "another orchestrator serves" in capsys.readouterr().err
    own.stop()
    assert main(command) == 0
    key = capsys.readouterr().out.strip()
    own.start()
    assert {one.name for one in OperatorClient(own.url, key).api_keys()} == {"first", "recovered"}


def test_a_new_folder_makes_its_first_secrets_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--data-dir", str(tmp_path), "--new-api-key", ""]) == 1
    assert "name has 0 characters" in capsys.readouterr().err
    command = ["serve", "--data-dir", str(tmp_path), "--new-api-key", "another"]
    assert main(command) == 0
    assert "This is the first start" in capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("fdo_")


def test_a_revoked_token_lets_nobody_in_and_keeps_who_is_there(population: Population) -> None:
    token = population.token(uses=2)
    inside = population.stranger()
    inside.enrol(token)
    (view,) = population.operator.tokens(population=population.name)
    assert (view.uses, view.uses_left, view.revoked_at) == (2, 1, None)
    revoked = population.operator.revoke_token(view.token_id)
    assert revoked.revoked_at == population.orchestrator.clock.now
    with pytest.raises(RefusedError, match="used up, expired or revoked"):
        population.stranger().enrol(token)
    inside.open_session()
    assert inside.check_in().rejection is not None


def test_a_revoked_device_is_out_at_its_next_request(population: Population) -> None:
    task = population.push(cohort=2, minimum_reports=1)
    device, other = population.devices(2)
    token = population.token()
    assignment = device.work()
    device.upload(assignment, encoded())
    view = population.operator.revoke_device(device.device_id)
    assert view.revoked_at == population.orchestrator.clock.now
    with pytest.raises(RefusedError) as refused:
        device.report(assignment.assignment_id, Report(Outcome.DECLINED, reason="late"))
    assert refused.value.code == ErrorCode.UNAUTHENTICATED
    for call in (device.challenge, device.open_session):
        with pytest.raises(RefusedError) as refused:
            call()
        assert (refused.value.status, refused.value.code) == (403, ErrorCode.DEVICE_REVOKED)
    assert token  # the population stays open for others
    detail = population.operator.round(task.task_id, 1)
    assert {state: count for state, count in detail.assignments.items() if count} == {"expired": 1}
    assert [(one.state, one.reason, one.count) for one in detail.reasons] == [("expired", "the device was revoked", 1)]
    (gone,) = population.operator.assignments(task.task_id, 1)
    assert (gone.device_id, gone.state) == (device.device_id, "expired")
    # Its place is free again.
    assert other.work().round_number == 1
    active = [one.device_id for one in population.operator.devices(population=population.name, state="active")]
    revoked = [one.device_id for one in population.operator.devices(population=population.name, state="revoked")]
    assert (active, revoked) == ([other.device_id], [device.device_id])


def test_a_revoked_device_cannot_enrol_again_with_its_key(population: Population) -> None:
    device, token = population.stranger(), population.token()
    device.enrol(token)
    population.operator.revoke_device(device.device_id)
    with pytest.raises(RefusedError) as refused:
        device.enrol(token)
    assert refused.value.code == ErrorCode.DEVICE_REVOKED


def test_a_round_says_why_devices_gave_up(population: Population) -> None:
    task = population.push(cohort=3)
    for device, reason in zip(population.devices(3), ("no battery", "no battery", ""), strict=True):
        assignment = device.work()
        if reason:
            device.report(assignment.assignment_id, Report(Outcome.DECLINED, reason=reason))
    detail = population.operator.round(task.task_id, 1)
    assert detail.round.round_number == 1
    assert (detail.assignments["declined"], detail.assignments["assigned"]) == (2, 1)
    assert [(one.state, one.reason, one.count) for one in detail.reasons] == [("declined", "no battery", 2)]
    declined = population.operator.assignments(task.task_id, 1, state="declined")
    assert [one.reason for one in declined] == ["no battery"] * 2


def test_the_command_lists_makes_and_revokes(own: Orchestrator, capsys: pytest.CaptureFixture[str]) -> None:
    garden = own.population("garden")
    device = garden.device()
    task = garden.push(cohort=1)
    device.work()
    assert cli(own, "key", "create", "laptop") == 0
    assert capsys.readouterr().out.startswith("fdo_")
    (laptop,) = (key for key in own.operator.api_keys() if key.name == "laptop")
    for arguments, shown in (
        (("key", "rename", laptop.key_id, "phone"), "phone"),
        (("key", "revoke", laptop.key_id), "phone: revoked"),
        (("key", "list"), "phone  2033-05-18 03:33  revoked 2033-05-18 03:33"),
        (("token", "list", "--population", "garden"), "garden      0/1"),
        (("token", "revoke", next(own.operator.tokens()).token_id), ": revoked"),
        (("task", "list", "--state", "running"), task.task_id),
        (("task", "round", task.task_id, "1"), "1 assigned"),
        (("device", "list"), device.device_id),
        (("device", "show", device.device_id), '"population": "garden"'),
        (("device", "revoke", device.device_id), "revoked"),
        (("device", "list", "--state", "revoked"), device.device_id),
    ):
        assert cli(own, *arguments) == 0
        assert shown in capsys.readouterr().out, arguments
