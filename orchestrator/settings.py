"""The settings of a server: one frozen record, read once at the start and passed down."""

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How one orchestrator runs.

    Attributes:
        data_dir: holds the database, the store and the plan-signing key; made where it is missing.
        check_in_seconds: about how often a device without work comes back.
        tick_seconds: at most so long until a deadline that has passed is noticed.
        session_seconds: how long a device's session token is good.
        challenge_seconds: how long a device may take to sign a challenge.
        max_document_bytes: the largest JSON body of any call.
        max_task_bytes: the largest plan or model that may be pushed.
        body_seconds: how long a document may take to come in, and how long an update may pause.
        export_seconds: how long the export of a pushed model may take.
        storage_url: `s3://bucket/prefix` where blobs and updates are, None for a folder in the data folder.
        public_resources: whether whoever knows a digest may fetch its bytes, and caches on the way may keep them.
        collect_seconds: how often bytes are looked for that nothing needs any more.
        grace_seconds: how long such bytes stay at least, counted from when they were last put.
    """

    data_dir: Path
    check_in_seconds: float = 2.0
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
        if not (math.isfinite(self.check_in_seconds) and self.check_in_seconds > 0):
            raise ValueError(f"check_in_seconds must be a positive number, found {self.check_in_seconds}")

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
