"""What a process counts, for Prometheus.

Every process has numbers of its own, to be summed over the replicas. What the database knows (rounds, tasks, devices)
is read when it is asked for, and is the same from each of them: take the maximum of these.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

MEDIA_TYPE = CONTENT_TYPE_LATEST
_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_AGGREGATION_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


@dataclass(frozen=True)
class Figures:
    """What the database knows: how many are in which state."""

    open_rounds: Mapping[str, int]
    ended_rounds: Mapping[str, int]
    tasks: Mapping[str, int]
    devices: Mapping[str, int]


class Metrics:
    """The numbers of one process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests: dict[tuple[str, str, int], Histogram] = {}
        self._request_seconds = Histogram(
            "fedelta_request_seconds",
            "Until the answer begins, by route",
            ("method", "route", "status"),
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self.check_ins = Counter("fedelta_check_ins", "Check-ins", ("answer",), registry=self._registry)
        self.reports = Counter("fedelta_reports", "Reports accepted", ("outcome",), registry=self._registry)
        self.updates_bytes = Counter(
            "fedelta_updates_bytes", "Bytes of updates that came in here", registry=self._registry
        )
        self.aggregation_seconds = Histogram(
            "fedelta_aggregation_seconds",
            "Of the sum and the new state of a round",
            buckets=_AGGREGATION_SECONDS,
            registry=self._registry,
        )
        self.event_streams = Gauge("fedelta_event_streams", "Streams of events being served", registry=self._registry)
        self._writer_queue = Gauge("fedelta_writer_queue", "Writes that wait for the writer", registry=self._registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer. A route's histogram is looked up once: finding it costs more than counting."""
        key = (method, route, status)
        if key not in self._requests:
            self._requests[key] = self._request_seconds.labels(method, route, str(status))
        self._requests[key].observe(seconds)

    def watch_writer(self, waiting: Callable[[], int]) -> None:
        """Say how the number of waiting writes is found."""
        self._writer_queue.set_function(waiting)

    def exposition(self, figures: Figures) -> bytes:
        """Everything in Prometheus's text format."""
        of_the_database = CollectorRegistry()
        of_the_database.register(_OfTheDatabase(figures))
        return generate_latest(self._registry) + generate_latest(of_the_database)


class _OfTheDatabase(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """The families of the database's figures."""
        ended = CounterMetricFamily("fedelta_rounds", "Rounds that ended, by how", labels=["state"])
        for state, count in self._figures.ended_rounds.items():
            ended.add_metric([state], count)
        yield ended
        for name, words, counts in (
            ("fedelta_open_rounds", "Rounds that have not ended", self._figures.open_rounds),
            ("fedelta_tasks", "Tasks", self._figures.tasks),
            ("fedelta_devices", "Enrolled devices", self._figures.devices),
        ):
            family = GaugeMetricFamily(name, words, labels=["state"])
            for state, count in counts.items():
                family.add_metric([state], count)
            yield family
