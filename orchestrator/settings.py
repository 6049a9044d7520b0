"""The settings of a server: one frozen record, read once at the start and passed down."""

import math
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.pacing import Limits
from orchestrator.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    """How one orchestrator runs.

    Attributes:
        data_dir: holds the database, the store and the plan-signing key; made where it is missing.
        database_url: of a PostgreSQL database that replicas share; None for a SQLite file in the data folder.
        signing_key: the file of the plan-signing key, the same for every replica; None for one in the data folder.
        has_worker: whether the web service sums and opens rounds itself; at least one process of a database must.
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
        storage_url: `s3://bucket/prefix` or `file:///folder` where blobs and updates are, None for a folder in the data
            folder.
        public_resources: whether whoever knows a digest may fetch its bytes, and caches on the way may keep them.
        collect_seconds: how often bytes are looked for that nothing needs any more.
        grace_seconds: how long such bytes stay at least, counted from when they were last put.
    """

    data_dir: Path
    database_url: str | None = None
    signing_key: Path | None = None
    has_worker: bool = True
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
    storage_url: str | None = None
    public_resources: bool = False
    collect_seconds: float = 600.0
    grace_seconds: float = 24 * 3600.0

    def __post_init__(self) -> None:
        for name in ("check_in_seconds", "longest_check_in_seconds", "check_ins_per_second"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a positive number, found {value}")

    @property
    def pacing_limits(self) -> Limits:
        """What devices' waits keep to."""
        return Limits(self.check_in_seconds, self.longest_check_in_seconds, self.check_ins_per_second)

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'fedelta.db'}"

    @property
    def store_dir(self) -> Path:
        """Where plans, broadcasts, checkpoints and updates are."""
        return self.data_dir / "store"

    @property
    def signing_key_path(self) -> Path:
        """The private half of the plan-signing key."""
        return self.signing_key or self.data_dir / "plan-signing-key.pem"
