"""What makes something may be sent again: it is made once."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.services.idempotency import KEPT_SECONDS
from tests.golden.make_plans import LINEAR
from tests.orchestrator.http import Answer
from tests.orchestrator.serving import Orchestrator, Population
from wire import codec, routes
from wire.errors import ErrorCode, OperatorError
from wire.operator import OperatorClient
from wire.operator_messages import (
    ApiKeyRequest,
    EnrolmentToken,
    EnrolmentTokenRequest,
    PopulationRequest,
    RoundPolicy,
    TaskRequest,
)


def post(orchestrator: Orchestrator, path: str, message: object, key: str, api_key: str | None = None) -> Answer:
    return orchestrator.connections.call(
        "POST",
        orchestrator.url + path,
        codec.dumps(message),
        token=api_key or orchestrator.api_key,
        headers={routes.IDEMPOTENCY_HEADER: key},
    )


def test_the_same_request_again_gets_the_first_answer(population: Population) -> None:
    request = EnrolmentTokenRequest(population.name)
    answers = [post(population.orchestrator, routes.ENROLMENT_TOKENS, request, "again") for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len(list(population.operator.tokens(population=population.name))) == 1


def test_many_at_once_make_one(population: Population) -> None:
    request = EnrolmentTokenRequest(population.name)
    with ThreadPoolExecutor(10) as pool:
        bodies = set(
            pool.map(
                lambda _: post(population.orchestrator, routes.ENROLMENT_TOKENS, request, "at once").body, range(10)
            )
        )
    assert len(bodies) == 1


def test_another_request_under_the_key_is_refused_and_makes_nothing(population: Population) -> None:
    orchestrator = population.orchestrator
    post(orchestrator, routes.ENROLMENT_TOKENS, EnrolmentTokenRequest(population.name), "taken").check()
    for path, message in (
        (routes.ENROLMENT_TOKENS, EnrolmentTokenRequest(population.name, 2)),
        (routes.POPULATIONS, PopulationRequest("other")),
    ):
        problem = post(orchestrator, path, message, "taken").problem
        assert (problem.status, problem.code) == (422, ErrorCode.IDEMPOTENCY_CONFLICT)
    assert len(list(population.operator.tokens(population=population.name))) == 1


def test_what_was_refused_is_tried_anew(orchestrator: Orchestrator) -> None:
    request = EnrolmentTokenRequest("not-there-yet")
    assert post(orchestrator, routes.ENROLMENT_TOKENS, request, "early").problem.code == ErrorCode.NOT_FOUND
    orchestrator.operator.add_population("not-there-yet")
    assert post(orchestrator, routes.ENROLMENT_TOKENS, request, "early").status == 201


def test_a_key_is_its_operators_own_and_good_for_a_day(own: Orchestrator) -> None:
    request = EnrolmentTokenRequest("default")
    other = own.operator.make_api_key("other").api_key

    def token(api_key: str | None = None) -> str:
        return post(own, routes.ENROLMENT_TOKENS, request, "key", api_key).document(EnrolmentToken).token

    first = token()
    assert token(other) != first
    own.clock.sleep(KEPT_SECONDS - 1)
    assert token() == first
    own.clock.sleep(1)
    assert token() != first


def test_the_database_holds_no_secret_of_an_answer(own: Orchestrator) -> None:
    made = own.operator.make_api_key("kept")
    assert made.api_key not in "\n".join(own.dump())
    assert made.api_key.encode().hex() not in "\n".join(own.dump()).lower()


@pytest.mark.parametrize("key", ["", "a" * 201, "\t", "\xe9"])
def test_a_key_is_printable_and_not_too_long(orchestrator: Orchestrator, key: str) -> None:
    answer = post(orchestrator, routes.API_KEYS, ApiKeyRequest("a"), key)
    assert answer.problem.code == ErrorCode.INVALID_REQUEST


def test_a_task_that_is_pushed_again_is_one_task(population: Population) -> None:
    request = TaskRequest("linear", population.name, policy=RoundPolicy(rounds=1))
    plan = LINEAR.read_bytes()
    pushed = [population.operator.push(request, plan=plan, idempotency_key=population.name) for _ in range(2)]
    assert pushed[0] == pushed[1]
    assert [task.task_id for task in population.operator.tasks(population=population.name)] == [pushed[0].task_id]
    with pytest.raises(OperatorError) as refused:
        population.operator.push(request, plan=plan + b" ", idempotency_key=population.name)
    assert refused.value.code == ErrorCode.IDEMPOTENCY_CONFLICT


def test_the_client_sends_again_what_got_no_answer(population: Population, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy loses the first answer on its way back."""
    monkeypatch.setattr("wire.operator._RETRY_SECONDS", (0.01, 0.01))
    orchestrator = population.orchestrator
    port = int(orchestrator.url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def relay() -> None:
            for is_lost in (True, False):
                caller, _ = listening.accept()
                with caller, socket.create_connection(("127.0.0.1", port)) as server:
                    server.sendall(_request(caller))
                    answer = _until_closed(server)
                    if not is_lost:
                        caller.sendall(answer)

        thread = threading.Thread(target=relay)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        made = OperatorClient(url, orchestrator.api_key).mint_token(EnrolmentTokenRequest(population.name))
        thread.join()
    assert made.population == population.name
    assert len(list(population.operator.tokens(population=population.name))) == 1


def _request(caller: socket.socket) -> bytes:
    """A whole request; urllib says `Connection: close`, so that the answer ends with the connection."""
    data: Any = b""
    while b"\r\n\r\n" not in data:
        data += caller.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += caller.recv(65536)
    return bytes(head + b"\r\n\r\n" + body)


def _until_closed(server: socket.socket) -> bytes:
    return b"".join(iter(lambda: server.recv(65536), b""))
