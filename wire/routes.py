"""Paths, headers and media types of the REST API, so that no side spells them twice."""

from urllib.parse import quote

API = "/v1"

DEVICES = f"{API}/devices"
CHECK_INS = f"{API}/check-ins"
TASKS = f"{API}/tasks"
POPULATIONS = f"{API}/populations"
ENROLMENT_TOKENS = f"{API}/enrolment-tokens"
HEALTH = "/healthz"
READY = "/readyz"

JSON = "application/json"
PROBLEM = "application/problem+json"
OCTETS = "application/octet-stream"

# The SHA-256 of an update in lower-case hexadecimal, checked while its bytes stream in.
DIGEST_HEADER = "X-Content-SHA256"

# Where in an update a request's body begins, as in the IETF's resumable uploads; 0 where it is not said.
OFFSET_HEADER = "Upload-Offset"


def device(device_id: str) -> str:
    """One device."""
    return f"{DEVICES}/{_part(device_id)}"


def challenges(device_id: str) -> str:
    """Where a device asks for a challenge to sign."""
    return f"{device(device_id)}/challenges"


def sessions(device_id: str) -> str:
    """Where a device turns a signed challenge into a session token."""
    return f"{device(device_id)}/sessions"


def resource(sha256: str) -> str:
    """An immutable plan, broadcast or checkpoint, by its digest."""
    return f"{API}/resources/{_part(sha256)}"


def upload(assignment_id: str) -> str:
    """Where a device asks what is still to be sent of an update, and where to."""
    return f"{API}/assignments/{_part(assignment_id)}/upload"


def update(assignment_id: str) -> str:
    """Where the bytes of an assignment's update go through the orchestrator."""
    return f"{API}/assignments/{_part(assignment_id)}/update"


def report(assignment_id: str) -> str:
    """Where an assignment ends."""
    return f"{API}/assignments/{_part(assignment_id)}/report"


def task(task_id: str) -> str:
    """One task."""
    return f"{TASKS}/{_part(task_id)}"


def task_cancel(task_id: str) -> str:
    """Where a task is cancelled."""
    return f"{task(task_id)}/cancel"


def task_rounds(task_id: str) -> str:
    """A task's rounds."""
    return f"{task(task_id)}/rounds"


def task_checkpoints(task_id: str) -> str:
    """A task's checkpoints."""
    return f"{task(task_id)}/checkpoints"


def task_result(task_id: str) -> str:
    """What a round of a task gave; `?round=N` for another than the last completed one."""
    return f"{task(task_id)}/result"


def _part(name: str) -> str:
    # An id is one part of a path, whatever it holds; braces stay, for the orchestrator's own templates.
    return quote(name, safe="{}")
