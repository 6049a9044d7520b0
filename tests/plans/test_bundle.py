"""A plan has one form, and nothing else is taken for one."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans import bundle
from plans.bundle import CLIENT, INITIAL, MANIFEST, MEMBERS, SERVER
from plans.errors import InvalidPlanError, PlanError
from tests.golden.make_plans import LINEAR
from tests.plans.linear import PLAN
from wire import codec, tensors
from wire.tensors import Array

DATA = LINEAR.read_bytes()
CONTENTS = {
    MANIFEST: codec.dumps(PLAN.manifest),
    CLIENT: b"client",
    SERVER: b"server",
    INITIAL: tensors.encode(PLAN.initial),
}
SMALL = bundle.pack(replace(PLAN, client=b"client", server=b"server"))


def zipped(
    members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, change: Callable[[bytes], bytes] = bytes
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return change(buffer.getvalue())


def encrypted(data: bytes) -> bytes:
    """The same zip, whose entries say that they are encrypted."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        position = changed.find(signature)
        while position >= 0:
            changed[position + offset] |= 1
            position = changed.find(signature, position + 1)
    return bytes(changed)


def test_equal_plans_have_equal_bytes() -> None:
    assert bundle.pack(PLAN) == bundle.pack(bundle.unpack(DATA)) == DATA


def test_a_plan_survives_its_journey() -> None:
    plan = bundle.unpack(SMALL)
    assert (plan.manifest, plan.client, plan.server) == (PLAN.manifest, b"client", b"server")
    assert {name: array.tolist() for name, array in plan.initial.items()} == {
        name: array.tolist() for name, array in PLAN.initial.items()
    }


def test_the_digest_is_sha256_in_lower_case() -> None:
    assert bundle.digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


GOOD = list(CONTENTS.items())
REFUSED = {
    "nothing": (b"", "expected the zip of a .plan file, found 0 bytes"),
    "no zip": (b"not a plan", "found 10 bytes that are not"),
    "no members": (zipped([]), "found none"),
    "a member too few": (zipped(GOOD[:3]), "found manifest.json, client.tflite, server.tflite"),
    "a member too many": (zipped([*GOOD, ("evil.py", b"")]), "evil.py"),
    "a member twice": (zipped([*GOOD[:3], ("client.tflite ", b"")]), "expected the members"),
    "another order": (zipped(GOOD[::-1]), "expected the members"),
    "an absolute path": (zipped([("/etc/passwd", b""), *GOOD[1:]]), "found /etc/passwd"),
    "a path that climbs": (zipped([("../manifest.json", b""), *GOOD[1:]]), r"found \.\./manifest.json"),
    "compressed members": (zipped(GOOD, zipfile.ZIP_DEFLATED), "manifest.json is compressed"),
    "a bomb": (zipped([*GOOD[:1], (CLIENT, b"\0" * (1 << 24)), *GOOD[2:]], zipfile.ZIP_BZIP2), "is compressed"),
    "encrypted members": (zipped(GOOD, change=encrypted), "encrypted"),
    "a manifest above its limit": (
        zipped([(MANIFEST, b" " * (bundle.MAX_MANIFEST_BYTES + 1)), *GOOD[1:]]),
        "manifest.json is compressed or too large",
    ),
    "no manifest inside": (zipped([(MANIFEST, b""), *GOOD[1:]]), "manifest.json: "),
    "no tensors inside": (zipped([*GOOD[:3], (INITIAL, b"")]), "initial.safetensors: expected at least 8 bytes"),
    "another state": (
        zipped([*GOOD[:3], (INITIAL, tensors.encode({"w": np.zeros(2, np.float32)}))]),
        "initial.safetensors: expected the tensors",
    ),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_exactly_a_plan_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        bundle.unpack(data)


def test_a_member_that_claims_more_than_the_file_holds_is_refused_before_memory_is_taken() -> None:
    position = SMALL.rfind(b"PK\1\2")  # the last entry of the directory: initial.safetensors
    bomb = bytearray(SMALL)
    bomb[position + 24 : position + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    with pytest.raises(InvalidPlanError, match=r"initial\.safetensors is compressed or too large"):
        bundle.unpack(bytes(bomb))


def test_a_changed_byte_in_a_member_is_refused() -> None:
    for content in CONTENTS.values():
        position = SMALL.index(content)
        changed = SMALL[:position] + bytes([content[0] ^ 1]) + SMALL[position + 1 :]
        with pytest.raises(PlanError):
            bundle.unpack(changed)


def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(0, len(SMALL), 7):
        with pytest.raises(InvalidPlanError):
            bundle.unpack(SMALL[:length])


@settings(max_examples=200)
@given(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(position: int, damage: bytes) -> None:
    try:
        plan = bundle.unpack(SMALL[:position] + damage + SMALL[position + len(damage) :])
    except PlanError:
        return
    assert plan.manifest == PLAN.manifest


@given(st.lists(st.sampled_from(MEMBERS), max_size=6))
def test_only_the_four_members_in_their_order_are_a_plan(names: list[str]) -> None:
    unique = list(dict.fromkeys(names))
    data = zipped([(name, CONTENTS[name]) for name in unique])
    if tuple(unique) == MEMBERS:
        assert bundle.unpack(data).manifest == PLAN.manifest
    else:
        with pytest.raises(InvalidPlanError):
            bundle.unpack(data)


def test_a_state_of_no_tensors_is_a_state() -> None:
    empty: dict[str, Array] = {}
    manifest = replace(PLAN.manifest, state={})
    assert bundle.unpack(bundle.pack(replace(PLAN, manifest=manifest, initial=empty))).initial == {}
