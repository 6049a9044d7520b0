"""A server that is told to stop finishes what it has begun, and says no to what comes."""

import http.client
import signal
import time
from pathlib import Path

import pytest

from tests.orchestrator.http import Connections
from tests.processes.federation import Federation, wait_for
from wire import codec, events, routes
from wire.errors import ErrorCode
from wire.operator_messages import PopulationRequest

pytestmark = pytest.mark.processes


def test_sigterm_lets_a_request_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    federation, connections = Federation(tmp_path), Connections()
    try:
        stream = federation.client.events()
        assert next(stream).kind == events.OPENED
        body = codec.dumps(PopulationRequest("slow"))
        slow = http.client.HTTPConnection("127.0.0.1", federation.port, timeout=20)
        slow.putrequest("POST", routes.POPULATIONS)
        slow.putheader("Authorization", f"Bearer {federation.api_key}")
        slow.putheader("Content-Length", str(len(body)))
        slow.endheaders()
        slow.send(body[:5])
        time.sleep(0.3)
        federation.server.send_signal(signal.SIGTERM)
        wait_for(lambda: connections.call("GET", federation.url + routes.READY).status == 503)
        refused = connections.call("GET", federation.url + routes.TASKS)
        assert (refused.problem.code, refused.headers["Retry-After"]) == (ErrorCode.UNAVAILABLE, "2")
        assert connections.call("GET", federation.url + routes.HEALTH).status == 200
        assert federation.server.poll() is None
        slow.send(body[5:])
        assert slow.getresponse().status == 201
        slow.close()
        federation.server.wait(timeout=20)
        federation.start_server()
        assert "slow" in [population.name for population in federation.client.populations()]
    finally:
        connections.close()
        federation.close()
