"""The tables. `alembic/versions` makes them; a test holds the two equal.

Moments are UTC seconds since 1970 (float). Secrets are kept as SHA-256 only. JSON columns hold the documents of
`wire`, so that a row and a message say the same thing in the same words.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_NAMES)

ID = String(36)
IS_OUT = "state = 'assigned'"
DIGEST = String(64)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_sha256", DIGEST, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

plan_keys = Table(
    "plan_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("created_at", Float, nullable=False),
)

populations = Table(
    "populations",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("created_at", Float, nullable=False),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    Column("token_sha256", DIGEST, primary_key=True),
    Column("population", ForeignKey(populations.c.name), nullable=False),
    Column("uses", Integer, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", ID, primary_key=True),
    Column("population", ForeignKey(populations.c.name), nullable=False, index=True),
    Column("algorithm", String(20), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("token_sha256", ForeignKey(enrolment_tokens.c.token_sha256), nullable=False),
    Column("enrolled_at", Float, nullable=False),
    Column("last_seen_at", Float),
    Column("check_in", JSON),  # the last wire.messages.CheckIn
    Column("expected_by", Float),  # a device that has not come again by then is not there
    Column("revoked_at", Float),
    # The same token with the same key is one enrolment, however often the answer was lost.
    UniqueConstraint("token_sha256", "public_key"),
    Index(None, "population", "expected_by"),
    Index(None, "enrolled_at", "device_id"),
)

# What is remembered of a population's check-ins: orchestrator.domain.pacing.Traffic.
traffic = Table(
    "traffic",
    metadata,
    Column("population", ForeignKey(populations.c.name), primary_key=True),
    Column("counted_at", Float, nullable=False),
    Column("exposure_seconds", Float, nullable=False),
    Column("check_ins", Float, nullable=False),
    Column("device_seconds", Float, nullable=False),
)

challenges = Table(
    "challenges",
    metadata,
    Column("challenge_sha256", DIGEST, primary_key=True),
    Column("device_id", ForeignKey(devices.c.device_id), nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", DIGEST, primary_key=True),
    Column("device_id", ForeignKey(devices.c.device_id), nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

plans = Table(
    "plans",
    metadata,
    Column("sha256", DIGEST, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),  # plans.manifest.Manifest as JSON; parsed once, see db.rows
    Column("created_at", Float, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", ID, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("population", ForeignKey(populations.c.name), nullable=False),
    Column("plan_sha256", ForeignKey(plans.c.sha256), nullable=False),
    Column("work", String(200), nullable=False),
    Column("reads", ForeignKey("tasks.task_id")),
    Column("policy", JSON, nullable=False),  # wire.operator_messages.RoundPolicy
    Column("signed_plan", JSON, nullable=False),  # wire.messages.SignedPlan
    Column("state", String(20), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("failure", String(2000), nullable=False),
    Column("completed_because", String(500), nullable=False, server_default=""),
    Index(None, "population", "state"),
    Index(None, "created_at", "task_id"),
)

rounds = Table(
    "rounds",
    metadata,
    Column("round_id", ID, primary_key=True),
    Column("task_id", ForeignKey(tasks.c.task_id), nullable=False),
    Column("round_number", Integer, nullable=False),  # from 1
    Column("state", String(20), nullable=False, index=True),
    Column("reads_round", Integer, nullable=False),  # the round whose checkpoint it started from
    Column("broadcast_sha256", DIGEST, nullable=False),
    Column("broadcast_size_bytes", BigInteger, nullable=False),
    Column("assigned", Integer, nullable=False),
    Column("reported", Integer, nullable=False),
    Column("settled", Integer, nullable=False),  # ended without a report
    Column("created_at", Float, nullable=False),
    Column("first_assigned_at", Float),
    Column("reporting_since", Float),
    Column("ended_at", Float),
    Column("metrics", JSON, nullable=False),
    Column("reason", String(2000), nullable=False),
    Column("temp_sha256", DIGEST),  # what `prepare` gave for `update_state` alone
    Column("temp_size_bytes", BigInteger),
    Column("result_sha256", DIGEST),  # of a completed round whose work gives one
    Column("result_size_bytes", BigInteger),
    Column("sharded", Integer, nullable=False, server_default="0"),  # reports whose updates are in shards
    # Which worker closes the round, until when; the token grows with every claim and fences off a late one.
    Column("worker", String(100)),
    Column("lease_until", Float),
    Column("lease_token", Integer, nullable=False, server_default="0"),
    UniqueConstraint("task_id", "round_number"),
)

# A set of updates that a worker sums by itself: claimed under a lease, then kept as a partial sum.
shards = Table(
    "shards",
    metadata,
    Column("shard_id", ID, primary_key=True),
    Column("round_id", ForeignKey(rounds.c.round_id), nullable=False, index=True),
    Column("worker", String(100), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("lease_token", Integer, nullable=False),
    Column("sum_sha256", DIGEST),  # None until it is summed
    Column("sum_size_bytes", BigInteger),
)

assignments = Table(
    "assignments",
    metadata,
    Column("assignment_id", ID, primary_key=True),
    Column("round_id", ForeignKey(rounds.c.round_id), nullable=False),
    Column("device_id", ForeignKey(devices.c.device_id), nullable=False, index=True),
    Column("state", String(20), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("assigned_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("update_sha256", DIGEST),
    Column("metrics", JSON, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("shard_id", ForeignKey(shards.c.shard_id), index=True),  # the sum that holds its update
    # The round that counts its report: its own, or the one that was open when an asynchronous one came.
    Column("counted_in", ForeignKey(rounds.c.round_id)),
    Index(None, "counted_in", "state"),
    # Of all there ever were, those that are out; a query has to say so in the same words (queries.assignments).
    Index(None, "assigned_at", sqlite_where=text(IS_OUT), postgresql_where=text(IS_OUT)),
    # A device takes part in a round once; the row is also what makes a claim safe to repeat.
    UniqueConstraint("round_id", "device_id"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("task_id", ForeignKey(tasks.c.task_id), primary_key=True),
    Column("round_number", Integer, primary_key=True),  # 0 is the state the task began with
    Column("sha256", DIGEST, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("from_task_id", ID),  # the checkpoint whose state it has, after a rollback or a warm start
    Column("from_round", Integer),
    Index(None, "sha256"),
)

labels = Table(
    "labels",
    metadata,
    Column("population", ForeignKey(populations.c.name), primary_key=True),
    Column("label", String(100), primary_key=True),
    Column("task_id", ForeignKey(tasks.c.task_id), nullable=False, index=True),
    Column("round_number", Integer, nullable=False),
    Column("labelled_at", Float, nullable=False),
    Column("model_sha256", DIGEST),  # the model file, where the plan can predict
    Column("model_size_bytes", BigInteger),
)

events = Table(
    "events",
    metadata,
    Column("event_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # rises with every commit
    Column("at", Float, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("task_id", ForeignKey(tasks.c.task_id), nullable=False),
    Column("round_number", Integer),
    Column("detail", JSON, nullable=False),
    Index(None, "task_id", "event_id"),
)

answers = Table(
    "answers",
    metadata,
    Column("api_key_sha256", ForeignKey(api_keys.c.key_sha256), primary_key=True),
    Column("idempotency_key", String(200), primary_key=True),
    Column("request_sha256", DIGEST, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # opened by the caller's key alone, see orchestrator.sealing
    Column("created_at", Float, nullable=False, index=True),
)

# Every blob of the store, noted before its bytes are written: what is not here was never put by this version.
blobs = Table(
    "blobs",
    metadata,
    Column("room", String(10), primary_key=True),  # orchestrator.storage.protocol.Room
    Column("sha256", DIGEST, primary_key=True),
    Column("put_at", Float, nullable=False),  # when it was put for the last time
    Column("claimed_at", Float),  # while it is being deleted
)

# The updates that devices have announced; a row is written before the first byte and goes after the last.
uploads = Table(
    "uploads",
    metadata,
    Column("assignment_id", ForeignKey(assignments.c.assignment_id), primary_key=True),
    Column("sha256", DIGEST, primary_key=True),
    Column("announced_at", Float, nullable=False),
)

# For the collector's question whether anything refers to a blob.
Index(None, rounds.c.result_sha256)
