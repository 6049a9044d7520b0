"""The names of blobs: a room, and the SHA-256 of the bytes."""

from dataclasses import dataclass
from enum import StrEnum


class Room(StrEnum):
    """Where a blob is: served to those who know its digest, or to nobody."""

    BLOBS = "blobs"  # plans, broadcasts, states and results
    TEMPS = "temps"  # what a round's preparation left for its update


@dataclass(frozen=True, order=True)
class BlobName:
    """One blob. The order is that of the collector's way through the store."""

    room: Room
    sha256: str


FIRST = BlobName(Room.BLOBS, "")
