"""The loop around the agent: pass after pass, and how long to rest between them.

Told when to come back, a device does so; not reached, it waits longer each time, by full jitter (a random share of a
doubling limit), so that a fleet does not return as one. A device that only wants to check in waits about as long as it
was last told to, at least: after an outage of the orchestrator, however long, devices come at the rate that it had
asked for. Sleep and randomness are arguments.
"""

import logging
from collections.abc import Callable
from typing import NoReturn

from device_sdk.agent import Agent, Pass
from device_sdk.errors import RefusedError, TransportError
from wire.messages import Outcome

_log = logging.getLogger(__name__)

BASE_SECONDS = 1.0
CAP_SECONDS = 300.0
SHORTEST_REST_SECONDS = 0.05
LONGEST_REST_SECONDS = 3600.0


def run_forever(agent: Agent, *, sleep: Callable[[float], object], random: Callable[[], float]) -> NoReturn:
    """Run passes until something ends the process; KeyboardInterrupt does at any moment, and loses nothing.

    Args:
        sleep: waits so many seconds.
        random: draws uniformly from [0, 1).

    Raises:
        StateError: the state directory does not do.
    """
    failures, usual = 0, 0.0
    while True:
        try:
            result = agent.run_once()
        except (TransportError, RefusedError) as error:
            failures += 1
            told = error.retry_after_seconds if isinstance(error, TransportError) else None
            wait = backoff_seconds(failures, random(), told, 0.0 if agent.is_at_work else usual)
            _log.warning("%s; next in %.1f s", error, wait)
        else:
            failures = 0 if _is_progress(result) else failures + 1
            wait = rest_seconds(result, failures, random())
            usual = usual if result.rest_seconds is None else wait
        sleep(wait)


def backoff_seconds(
    failures: int, share: float, retry_after_seconds: float | None, usual_seconds: float = 0.0
) -> float:
    """How long to wait after so many failures in a row: what the orchestrator said, and a random share on top.

    Args:
        usual_seconds: how long the device rests between check-ins; 0 where it has work to deliver.
    """
    jitter = share * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures - 1, 60))
    return _clamped(retry_after_seconds or 0.0) + max(jitter, usual_seconds * (0.5 + share))


def rest_seconds(result: Pass, failures: int, share: float) -> float:
    """How long to rest after a pass: not at all after work well done."""
    if result.rest_seconds is not None:
        return _clamped(result.rest_seconds)
    return 0.0 if result.outcome is Outcome.COMPLETED else backoff_seconds(failures, share, None)


def _is_progress(result: Pass) -> bool:
    return result.rest_seconds is not None or result.outcome is Outcome.COMPLETED


def _clamped(seconds: float) -> float:
    return min(max(seconds, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS)
