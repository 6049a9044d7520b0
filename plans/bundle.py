"""A `.plan` file: the deterministic zip that holds a plan, named by its SHA-256.

    manifest.json         the record (plans.manifest)
    client.tflite         signatures for the client's part
    server.tflite         signatures for the server's part
    initial.safetensors   the first server state

Equal plans have equal bytes: members stand in this order, stored without compression (whose output differs between
library versions), with one fixed time. A reader takes nothing else, and checks sizes before it allocates.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from plans import consistency
from plans.errors import InvalidPlanError
from plans.manifest import Manifest
from wire import codec, tensors
from wire.errors import TensorFormatError
from wire.tensors import Array

MANIFEST, CLIENT, SERVER, INITIAL = "manifest.json", "client.tflite", "server.tflite", "initial.safetensors"
MEMBERS = (MANIFEST, CLIENT, SERVER, INITIAL)
MAX_MANIFEST_BYTES = 4 << 20
_FIRST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o644 << 16


@dataclass(frozen=True)
class Plan:
    """A plan in memory: the manifest, the two programs and the first server state."""

    manifest: Manifest
    client: bytes
    server: bytes
    initial: Mapping[str, Array]


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in lower-case hexadecimal: how plans and tensors are named everywhere."""
    return hashlib.sha256(data).hexdigest()


def pack(plan: Plan) -> bytes:
    """The bytes of a `.plan` file."""
    contents = {
        MANIFEST: codec.dumps(plan.manifest),
        CLIENT: plan.client,
        SERVER: plan.server,
        INITIAL: tensors.encode(plan.initial),
    }
    return zipped(contents)


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """A zip of these members in their order: equal contents, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            member = zipfile.ZipInfo(name, _FIRST_ZIP_TIME)
            member.create_system = 3  # Unix, whichever system writes
            member.external_attr = _PLAIN_FILE
            archive.writestr(member, data)
    return buffer.getvalue()


def unpack(data: bytes) -> Plan:
    """The plan that the bytes of a `.plan` file hold, checked but not yet run.

    Raises:
        InvalidPlanError: not a plan, or one that contradicts itself.
        UnsupportedPlanError: a newer format.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            contents = _read_members(archive, len(data))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError) as error:  # RuntimeError: encrypted
        raise InvalidPlanError(
            f"expected the zip of a .plan file, found {len(data)} bytes that are not ({error})"
        ) from None
    manifest = consistency.parse(contents[MANIFEST])
    try:
        initial = tensors.decode_as(manifest.state_specs, contents[INITIAL])
    except TensorFormatError as error:
        raise InvalidPlanError(f"{INITIAL}: {error}") from None
    return Plan(manifest, contents[CLIENT], contents[SERVER], initial)


def _read_members(archive: zipfile.ZipFile, total_bytes: int) -> dict[str, bytes]:
    members = archive.infolist()
    names = tuple(member.filename for member in members)
    if names != MEMBERS:
        raise InvalidPlanError(f"expected the members {', '.join(MEMBERS)}, found {', '.join(names) or 'none'}")
    for member in members:
        limit = MAX_MANIFEST_BYTES if member.filename == MANIFEST else total_bytes
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > limit:
            raise InvalidPlanError(f"{member.filename} is compressed or too large: members are stored as they are")
    return {member.filename: archive.read(member) for member in members}
