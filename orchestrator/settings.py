"""The settings of a server: one frozen record, read once at the start and passed down."""

import math
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.pacing import Limits


@dataclass(frozen=True)
class Settings:
    """How one orchestrator runs.

    Attributes:
        data_dir: holds the database, the store and the plan-signing key; made where it is missing.
        check_in_seconds: no device without work comes back more often than about this.
        longest_check_in_seconds: no device is told to wait for longer.
        check_ins_per_second: how many the server is ready to answer; devices are told to wait accordingly.
        tick_seconds: at most so long until a deadline that has passed is noticed.
        session_seconds: how long a device's session token is good.
        challenge_seconds: how long a device may take to sign a challenge.
        max_document_bytes: the largest JSON body of any call.
        max_task_bytes: the largest plan or model that may be pushed.
        body_seconds: how long a document may take to come in, and how long an update may pause.
        export_seconds: how long the export of a pushed model may take.
    """

    data_dir: Path
    check_in_seconds: float = 2.0
    longest_check_in_seconds: float = 3600.0
    check_ins_per_second: float = 500.0
    tick_seconds: float = 0.25
    session_seconds: float = 3600.0
    challenge_seconds: float = 60.0
    max_document_bytes: int = 1 << 16
    max_task_bytes: int = 512 << 20
    body_seconds: float = 60.0
    export_seconds: float = 900.0

    def __post_init__(self) -> None:
        for name in ("check_in_seconds", "longest_check_in_seconds", "check_ins_per_second"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, found {value}")

    @property
    def pacing_limits(self) -> Limits:
        """What devices' waits keep to."""
        return Limits(self.check_in_seconds, self.longest_check_in_seconds, self.check_ins_per_second)

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "fedelta.db"

    @property
    def store_dir(self) -> Path:
        """Where plans, broadcasts, checkpoints and updates are."""
        return self.data_dir / "store"

    @property
    def signing_key_path(self) -> Path:
        """The private half of the plan-signing key."""
        return self.data_dir / "plan-signing-key.pem"
