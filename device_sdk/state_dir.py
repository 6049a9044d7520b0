"""The state directory: everything a device keeps, one path each.

key.pem              the device's Ed25519 key, mode 0600
enrolment.json       whose device this is, and the plan keys it trusts (identity)
journal.json         the assignment in flight (journal), with update.safetensors, its update
kept/                what works of tasks keep between rounds; kept_next.state waits for its report (kept)
plan_versions.json   the newest version of each task's plan (trust)
examples.sqlite      the local examples; they never leave it (examples)
cache/               plans and broadcasts by digest (resources)
lock                 held by the one process that may change all this
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from device_sdk.errors import StateError

VARIABLE = "FEDELTA_DEVICE_STATE"
DEFAULT = "~/.fedelta-device"


@dataclass(frozen=True)
class StateDir:
    """Where a device keeps what; see the module's description."""

    path: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.path / "key.pem"

    @property
    def enrolment(self) -> Path:
        """The enrolment's record; it is there exactly when the device is enrolled."""
        return self.path / "enrolment.json"

    @property
    def journal(self) -> Path:
        """The assignment in flight."""
        return self.path / "journal.json"

    @property
    def update(self) -> Path:
        """The trained update that the journal speaks of."""
        return self.path / "update.safetensors"

    @property
    def kept(self) -> Path:
        """What works of tasks keep between rounds."""
        return self.path / "kept"

    @property
    def kept_next(self) -> Path:
        """What is kept once the report that the journal speaks of is accepted."""
        return self.path / "kept_next.state"

    @property
    def plan_versions(self) -> Path:
        """The newest plan version seen of each task."""
        return self.path / "plan_versions.json"

    @property
    def examples(self) -> Path:
        """The example store."""
        return self.path / "examples.sqlite"

    @property
    def cache(self) -> Path:
        """Resources by digest."""
        return self.path / "cache"

    @property
    def lock(self) -> Path:
        """The lock of the one process at work."""
        return self.path / "lock"

    def make(self) -> None:
        """Create the directory, for its owner's eyes only.

        Raises:
            StateError: it cannot be created.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot create the state directory {self.path}: {error.strerror}") from error


def locate(argument: str | None, environment: Mapping[str, str]) -> StateDir:
    """The state directory that the command line names, or the environment, or the default."""
    return StateDir(Path(argument or environment.get(VARIABLE) or DEFAULT).expanduser())
