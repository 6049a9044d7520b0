"""Paths, headers and media types of the REST API, so that no side spells them twice."""

from urllib.parse import quote

API = "/v1"

DEVICES = f"{API}/devices"
CHECK_INS = f"{API}/check-ins"
TASKS = f"{API}/tasks"
POPULATIONS = f"{API}/populations"
ENROLMENT_TOKENS = f"{API}/enrolment-tokens"
LABELS = f"{API}/labels"
EVENTS = f"{API}/events"
API_KEYS = f"{API}/api-keys"
HEALTH = "/healthz"
READY = "/readyz"
METRICS = "/metrics"

JSON = "application/json"
PROBLEM = "application/problem+json"
OCTETS = "application/octet-stream"

# The SHA-256 of an update in lower-case hexadecimal, checked while its bytes stream in.
DIGEST_HEADER = "X-Content-SHA256"

# With the same key a request that makes something is answered as the first time, for a day.
IDEMPOTENCY_HEADER = "Idempotency-Key"
# Where in an update a request's body begins, as in the IETF's resumable uploads; 0 where it is not said.
OFFSET_HEADER = "Upload-Offset"


def device(device_id: str) -> str:
    """One device."""
    return f"{DEVICES}/{_part(device_id)}"


def device_revoke(device_id: str) -> str:
    """Where a device is shut out."""
    return f"{device(device_id)}/revoke"


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


def released_model(label: str) -> str:
    """The model that has a label in a device's population."""
    return f"{API}/models/{_part(label)}"


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


def task_pause(task_id: str) -> str:
    """Where a task is paused."""
    return f"{task(task_id)}/pause"


def task_resume(task_id: str) -> str:
    """Where a paused task is let run on."""
    return f"{task(task_id)}/resume"


def task_rounds(task_id: str) -> str:
    """A task's rounds."""
    return f"{task(task_id)}/rounds"


def task_round(task_id: str, round_number: int | str) -> str:
    """One of a task's rounds."""
    return f"{task_rounds(task_id)}/{_part(str(round_number))}"


def task_assignments(task_id: str, round_number: int | str) -> str:
    """The assignments of one of a task's rounds."""
    return f"{task_round(task_id, round_number)}/assignments"


def task_events(task_id: str) -> str:
    """The stream of a task's events."""
    return f"{task(task_id)}/events"


def task_checkpoints(task_id: str) -> str:
    """A task's checkpoints."""
    return f"{task(task_id)}/checkpoints"


def checkpoint_comparison(task_id: str, round_number: int | str) -> str:
    """A checkpoint beside another of its task; `?with=N` says which."""
    return f"{task_checkpoints(task_id)}/{_part(str(round_number))}/comparison"


def checkpoint_model(task_id: str, round_number: int | str) -> str:
    """A checkpoint as a model file to predict with."""
    return f"{task_checkpoints(task_id)}/{_part(str(round_number))}/model"


def checkpoint_label(task_id: str, round_number: int | str, label: str) -> str:
    """A label on a checkpoint."""
    return f"{task_checkpoints(task_id)}/{_part(str(round_number))}/labels/{_part(label)}"


def task_rollback(task_id: str) -> str:
    """Where a task is told to go on from an earlier checkpoint."""
    return f"{task(task_id)}/rollback"


def task_result(task_id: str) -> str:
    """What a round of a task gave; `?round=N` for another than the last completed one."""
    return f"{task(task_id)}/result"


def api_key(key_id: str) -> str:
    """One operator API key."""
    return f"{API_KEYS}/{_part(key_id)}"


def api_key_revoke(key_id: str) -> str:
    """Where an operator API key is ended."""
    return f"{api_key(key_id)}/revoke"


def enrolment_token_revoke(token_id: str) -> str:
    """Where an enrolment token is ended."""
    return f"{ENROLMENT_TOKENS}/{_part(token_id)}/revoke"


def _part(name: str) -> str:
    # An id is one part of a path, whatever it holds; braces stay, for the orchestrator's own templates.
    return quote(name, safe="{}")
