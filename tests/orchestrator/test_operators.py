"""The operators' client and routes: populations, tokens, devices, and an orchestrator that is not one."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.orchestrator.serving import Orchestrator, Population
from wire.errors import ErrorCode, OperatorError
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest, PopulationView


def test_a_population_counts_its_devices(population: Population) -> None:
    population.devices(2)
    assert PopulationView(population.name, 2) in population.operator.populations()
    assert "default" in [view.name for view in population.operator.populations()]


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "é", "a" * 101, "../a", "a\n", "a/b"])
def test_a_population_has_a_plain_name(orchestrator: Orchestrator, name: str) -> None:
    with pytest.raises(OperatorError, match="a population's name matches") as refused:
        orchestrator.operator.add_population(name)
    assert refused.value.code == ErrorCode.INVALID_REQUEST


def test_a_population_is_made_once_however_many_ask(orchestrator: Orchestrator) -> None:
    def attempt(_: int) -> str | None:
        try:
            orchestrator.operator.add_population("popular")
        except OperatorError as error:
            return error.code
        return None

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(attempt, range(20)))
    assert answers.count(None) == 1
    assert answers.count(ErrorCode.CONFLICT) == 19


def test_a_token_says_what_it_is_good_for(population: Population) -> None:
    token = population.operator.mint_token(EnrolmentTokenRequest(population.name, 3, 60.0))
    assert (token.population, token.uses, token.expires_at) == (
        population.name,
        3,
        population.orchestrator.clock.now + 60,
    )
    assert token.token.startswith("fde_")


def test_a_wrong_key_is_refused(orchestrator: Orchestrator) -> None:
    with pytest.raises(OperatorError, match="the API key is unknown") as refused:
        list(OperatorClient(orchestrator.url, "fdo_wrong").tasks())
    assert (refused.value.code, refused.value.status) == (ErrorCode.UNAUTHENTICATED, 401)


def test_an_address_is_a_url() -> None:
    with pytest.raises(OperatorError, match="must begin with http"):
        OperatorClient("file:///etc/passwd", "key")


def test_a_server_that_is_not_there_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = OperatorClient(f"http://127.0.0.1:{port}/", "key")
    assert not client.ready()
    with pytest.raises(OperatorError, match="does not answer") as refused:
        list(client.tasks())
    assert (refused.value.code, refused.value.status) == (None, None)


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is no orchestrator."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "gone" in self.path:
                self.wfile.write(b"not even HTTP\r\n")
                return
            self.send_response(404 if "missing" in self.path else 200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that http.server gives
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_is_no_orchestrator_is_named(stranger: str) -> None:
    client = OperatorClient(stranger, "key")
    with pytest.raises(OperatorError, match="the answer is no TaskPage"):
        list(client.tasks())
    with pytest.raises(OperatorError, match="answered 404 without a problem document") as refused:
        client.task("missing")
    assert (refused.value.code, refused.value.status) == (None, 404)
    with pytest.raises(OperatorError, match="does not answer"):
        client.task("gone")
