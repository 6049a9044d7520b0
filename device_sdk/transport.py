"""The calls that a device makes, as a Protocol: one method for each, messages in and messages out.

An implementation lets two errors out: `TransportError` where the same call later may succeed, and `RefusedError` where
the orchestrator said no. `device_sdk.http` speaks it over the network; tests bring an orchestrator in memory.
"""

from collections.abc import Callable
from typing import Protocol

from wire.messages import (
    Challenge,
    CheckIn,
    CheckInReply,
    Enrolled,
    Enrolment,
    ReleasedModel,
    Report,
    ReportReceipt,
    Resource,
    Session,
    SessionRequest,
    Upload,
    UploadPart,
)


class Transport(Protocol):
    """The way to one orchestrator. `token` is a session's."""

    def enrol(self, enrolment: Enrolment) -> Enrolled:
        """Join; the same enrolment again gets the same answer."""
        ...

    def challenge(self, device_id: str) -> Challenge:
        """Ask for something to sign."""
        ...

    def open_session(self, device_id: str, request: SessionRequest) -> Session:
        """Turn a signed challenge into a session."""
        ...

    def check_in(self, token: str, check_in: CheckIn) -> CheckInReply:
        """Offer to work."""
        ...

    def released(self, token: str, label: str) -> ReleasedModel:
        """Ask for the model that has a label in the device's population."""
        ...

    def fetch(self, token: str, resource: Resource, offset: int, write: Callable[[bytes], object]) -> None:
        """Give a resource's bytes from `offset` on to `write`, chunk by chunk, and never more than its size has.

        The chunks may be wrong or too few: who keeps them checks the digest. A refusal comes before any chunk.
        """
        ...

    def plan_upload(self, token: str, assignment_id: str, update: Resource) -> Upload:
        """Announce an update, and ask what is still to be sent of it: all, or what an earlier call did not bring."""
        ...

    def upload(self, token: str, part: UploadPart, body: bytes) -> None:
        """Send one part of an update, to the orchestrator with the token or elsewhere without it."""
        ...

    def report(self, token: str, assignment_id: str, report: Report) -> ReportReceipt:
        """End an assignment; the same report again gets the same receipt."""
        ...
