"""Traces for OpenTelemetry, where the environment says whereto; without that nothing is loaded and nothing is done.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) turns them on; the other `OTEL_…` variables mean what
OpenTelemetry says they do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVICE = "fedelta-orchestrator"


def provider_from(environment: Mapping[str, str]) -> "TracerProvider | None":
    """What makes spans and sends them, or None where the environment names no receiver.

    Raises:
        SettingsError: it names one, but the `[telemetry]` extra is not installed.
    """
    if not any(environment.get(name) for name in VARIABLES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{' or '.join(VARIABLES)} is set, but {error.name} is missing: pip install 'fedelta[telemetry]'"
        ) from None
    name = environment.get("OTEL_SERVICE_NAME", _SERVICE)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Spans:
    """Spans of work that no request asks for.

    Args:
        provider: makes them; None where there are to be none.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._tracer = None if provider is None else provider.get_tracer("fedelta")

    @contextmanager
    def span(self, name: str, attributes: "Mapping[str, AttributeValue]") -> Iterator[None]:
        """A span around a block; an error that leaves the block is noted in it."""
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(name, attributes=attributes):
            yield
