"""How long a device rests between passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sdk.agent import Pass
from device_sdk.errors import RefusedError
from device_sdk.runner import CAP_SECONDS, LONGEST_REST_SECONDS, backoff_seconds, rest_seconds, run_forever
from tests.device_sdk.conftest import Device
from tests.device_sdk.memory_orchestrator import Fault, MemoryOrchestrator
from wire.errors import ErrorCode
from wire.messages import Outcome

SHARES = st.floats(0, 1, exclude_max=True)


class Naps:
    """Sleeps through nothing, writes the lengths down, and stops the loop after so many."""

    def __init__(self, count: int) -> None:
        self.lengths: list[float] = []
        self._count = count

    def __call__(self, seconds: float) -> None:
        self.lengths.append(seconds)
        if len(self.lengths) == self._count:
            raise KeyboardInterrupt


def rests(device: Device, count: int, share: float = 0.5) -> list[float]:
    naps = Naps(count)
    with pytest.raises(KeyboardInterrupt):
        run_forever(device.agent(), sleep=naps, random=lambda: share)
    return naps.lengths


def test_a_device_rests_as_told_and_not_after_work(device: Device, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.assign()
    assert rests(device, 3) == [0.0, 5.0, 5.0]


def test_an_unreachable_orchestrator_is_tried_ever_less(device: Device, orchestrator: MemoryOrchestrator) -> None:
    for _ in range(4):
        orchestrator.fail("challenge", Fault.CUT)
    assert rests(device, 6) == [7.5, 8.0, 9.0, 11.0, 5.0, 5.0]


def test_an_outage_does_not_bring_devices_back_sooner_than_they_were_told(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    orchestrator.rest_seconds = 1000.0
    naps = Naps(4)

    def sleep(seconds: float) -> None:
        orchestrator.fail("check_in", Fault.CUT)
        naps(seconds)

    with pytest.raises(KeyboardInterrupt):
        run_forever(device.agent(), sleep=sleep, random=lambda: 0.25)
    assert naps.lengths[0] == 1000.0
    assert all(750 <= wait <= 760 for wait in naps.lengths[1:])


def test_work_is_delivered_as_soon_as_the_orchestrator_is_back(
    device: Device, orchestrator: MemoryOrchestrator
) -> None:
    orchestrator.rest_seconds = 1000.0
    naps = Naps(2)

    def sleep(seconds: float) -> None:
        orchestrator.assign()
        orchestrator.fail("report", Fault.CUT)
        naps(seconds)

    with pytest.raises(KeyboardInterrupt):
        run_forever(device.agent(), sleep=sleep, random=lambda: 0.5)
    assert naps.lengths[1] < 10


def test_a_refused_device_keeps_trying_ever_less(device: Device, orchestrator: MemoryOrchestrator) -> None:
    for _ in range(3):
        orchestrator.fail("challenge", RefusedError(ErrorCode.UNKNOWN_DEVICE, 404, "revoked"))
    assert rests(device, 4) == pytest.approx([0.55, 1.05, 2.05, 5.0])


def test_declining_again_and_again_slows_down(device: Device, orchestrator: MemoryOrchestrator) -> None:
    for _ in range(3):
        orchestrator.assign(population="others")
    orchestrator.assign()
    assert rests(device, 5) == pytest.approx([0.55, 1.05, 2.05, 0.0, 5.0])


@given(failures=st.integers(1, 10_000), share=SHARES)
def test_the_wait_is_a_share_of_a_doubling_limit(failures: int, share: float) -> None:
    limit = min(CAP_SECONDS, 2.0 ** min(failures - 1, 20))
    assert backoff_seconds(failures, share, None) == pytest.approx(0.05 + share * limit)


@given(told=st.floats(0, 1e9), share=SHARES)
def test_what_the_orchestrator_said_is_kept_within_an_hour(told: float, share: float) -> None:
    assert backoff_seconds(1, share, told) >= min(told, LONGEST_REST_SECONDS)
    assert 0.05 <= rest_seconds(Pass(rest_seconds=told), 0, share) <= LONGEST_REST_SECONDS


def test_only_completed_work_is_followed_at_once() -> None:
    waits = {outcome: rest_seconds(Pass(outcome), 1, 0.5) for outcome in Outcome}
    assert waits[Outcome.COMPLETED] == 0
    assert min(waits[Outcome.DECLINED], waits[Outcome.FAILED]) > 0
