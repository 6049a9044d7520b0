"""What a server counts, logs and traces, and whether it says that it is ready."""

import asyncio
import io
import json
import logging
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator import logs, tracing
from orchestrator.api.observing import Traced
from orchestrator.errors import SettingsError
from tests.orchestrator.device import encoded
from tests.orchestrator.serving import Orchestrator, Population, until
from wire import routes


def measured(orchestrator: Orchestrator) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a scrape."""
    answer = orchestrator.connections.call("GET", orchestrator.url + routes.METRICS, token=orchestrator.api_key)
    answer.check()
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def sample(orchestrator: Orchestrator, name: str, **labels: str) -> float:
    return measured(orchestrator).get((name, frozenset(labels.items())), 0.0)


def test_a_round_leaves_its_numbers(own: Orchestrator) -> None:
    garden = own.population("garden")
    device, data = garden.device(), encoded()
    assert device.check_in().rejection is not None
    task = garden.push(rounds=1, cohort=1)
    device.finish(device.work(), data)
    garden.task_in(task.task_id, "completed")
    assert sample(own, "fedelta_check_ins_total", answer="assignment") == 1
    assert sample(own, "fedelta_check_ins_total", answer="rejection") == 1
    assert sample(own, "fedelta_reports_total", outcome="completed") == 1
    assert sample(own, "fedelta_updates_bytes_total") == len(data)
    assert sample(own, "fedelta_rounds_total", state="completed") == 1
    assert sample(own, "fedelta_open_rounds", state="selection") == 0
    assert sample(own, "fedelta_tasks", state="completed") == 1
    assert sample(own, "fedelta_devices", state="active") == 1
    assert sample(own, "fedelta_aggregation_seconds_count") == 1
    until(lambda: sample(own, "fedelta_writer_queue") == 0)  # the worker's ticks go through it too
    garden.push()
    assert sample(own, "fedelta_open_rounds", state="selection") == 1


def test_requests_are_timed_by_their_routes_and_no_id_becomes_a_label(own: Orchestrator) -> None:
    for name in ("some-id", "other-id"):
        own.connections.call("GET", own.url + routes.task(name), token=own.api_key)
    own.connections.call("GET", own.url + "/elsewhere")
    own.connections.call("PROPFIND", own.url + "/pot")
    labels = {"method": "GET", "route": "/v1/tasks/{task_id}", "status": "404"}
    assert sample(own, "fedelta_request_seconds_count", **labels) == 2
    assert sample(own, "fedelta_request_seconds_count", method="GET", route="unknown", status="404") == 1
    assert sample(own, "fedelta_request_seconds_count", method="unknown", route="unknown", status="404") == 1
    assert not [key for key in measured(own) if "some-id" in str(key)]


def test_a_stream_of_events_is_counted_while_it_lasts(own: Orchestrator) -> None:
    stream = own.operator.events()
    next(stream)
    assert sample(own, "fedelta_event_streams") == 1


def test_a_server_without_its_store_is_not_ready(own: Orchestrator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own.operator.ready()
    (own.folder / "store" / "updates").rename(own.folder / "store" / "elsewhere")
    problem = own.connections.call("GET", own.url + routes.READY).problem
    assert (problem.status, problem.retry_after_seconds) == (503, 2.0)
    (own.folder / "store" / "elsewhere").rename(own.folder / "store" / "updates")
    assert own.operator.ready()


def test_a_server_whose_worker_ended_is_not_ready(own: Orchestrator) -> None:
    own.loop.call_soon_threadsafe(own.app.state.worker.cancel)

    async def ended() -> None:
        await asyncio.wait([own.app.state.worker])

    asyncio.run_coroutine_threadsafe(ended(), own.loop).result(10)
    assert "worker has ended" in own.connections.call("GET", own.url + routes.READY).problem.detail


def test_a_server_that_stops_says_so_and_lives(own: Orchestrator) -> None:
    own.loop.call_soon_threadsafe(own.context.draining.set)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), own.loop).result(10)
    answer = own.connections.call("GET", own.url + routes.READY)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    answer = own.connections.call("GET", own.url + routes.TASKS, token=own.api_key)
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "2", "close")
    assert own.connections.call("GET", own.url + routes.HEALTH).status == 200


def test_a_line_of_json_names_what_it_is_about(population: Population, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "orchestrator"):
        task = population.push(rounds=1, cohort=1)
        device = population.device()
        device.finish(device.work(), encoded())
        population.task_in(task.task_id, "completed")
    lines = [json.loads(logs.JsonLines().format(record)) for record in caplog.records]
    (line,) = (one for one in lines if one.get("task_id") == task.task_id and "completed" in one["message"])
    assert (line["level"], line["logger"], line["round_number"]) == ("info", "orchestrator.worker", 1)
    assert len(line["round_id"]) == 36
    assert line["time"].endswith("Z")


def test_an_exception_is_one_line_of_json() -> None:
    error = RuntimeError("broken\nin two")
    record = logging.LogRecord("a", logging.ERROR, "", 0, "it %s", ("failed",), (RuntimeError, error, None))
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "it failed"
    assert "RuntimeError: broken\nin two" in line["exception"]


def test_what_goes_wrong_again_and_again_is_told_once_whole_and_then_in_lines(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    trouble = logs.Trouble(logging.getLogger("orchestrator.test"), lambda: now[0])

    def told_at(seconds: float, error: Exception) -> list[tuple[str, bool]]:
        caplog.clear()
        now[0] = seconds
        trouble.tell("it failed", error)
        return [(record.message, record.exc_info is not None) for record in caplog.records]

    assert told_at(1, OSError("away\nwith details")) == [("it failed", True)]
    assert told_at(2, OSError("away")) == []
    assert told_at(11, OSError("away\nwith details")) == [("it failed (still OSError: away)", False)]
    assert told_at(12, ValueError("")) == [("it failed", True)]
    assert told_at(25, ValueError("")) == [("it failed (still ValueError: )", False)]
    assert told_at(90, ValueError("")) == [("it failed", True)]


def test_without_a_receiver_nothing_of_opentelemetry_is_loaded() -> None:
    assert tracing.provider_from({}) is None


def test_a_receiver_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"pip install 'fedelta\[telemetry\]'"):
        tracing.provider_from({tracing.VARIABLES[0]: "http://127.0.0.1:4318"})


@pytest.fixture
def written() -> io.StringIO:
    """Where the spans of `traced` go, as JSON."""
    return io.StringIO()


@pytest.fixture
def traced(tmp_path: Path, written: io.StringIO) -> Orchestrator:
    pytest.importorskip("opentelemetry.sdk", reason="needs the [telemetry] extra")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    to_json = ConsoleSpanExporter(out=written, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(to_json))
    own = Orchestrator(tmp_path / "data", tracer_provider=provider)
    own.start()
    return own


def test_a_sum_is_a_span_with_its_round(traced: Orchestrator, written: io.StringIO) -> None:
    try:
        garden = traced.population("garden")
        task = garden.push(rounds=1, cohort=1)
        device = garden.device()
        device.finish(device.work(), encoded())
        garden.task_in(task.task_id, "completed")
    finally:
        traced.stop()
    (span,) = (
        span for line in written.getvalue().splitlines() if (span := json.loads(line))["name"] == "close a round"
    )
    assert (span["attributes"]["task_id"], span["attributes"]["round_number"]) == (task.task_id, 1)


def test_a_request_is_a_span_in_its_callers_trace(traced: Orchestrator, written: io.StringIO) -> None:
    own = traced
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    try:
        own.connections.call("GET", own.url + routes.task("nothing"), token=own.api_key, headers=headers)
    finally:
        own.stop()
    span = json.loads(written.getvalue())
    assert span["name"] == "GET /v1/tasks/{task_id}"
    assert span["context"]["trace_id"] == f"0x{trace}"
    assert span["parent_id"] == "0xb7ad6b7169203331"
    assert span["attributes"]["http.response.status_code"] == 404
    assert Traced.__name__ in {one.cls.__name__ for one in own.app.user_middleware}  # type: ignore[attr-defined]
