"""The options of `fedelta task push` say a whole round policy."""

import argparse
from dataclasses import fields

import pytest

from federated.cli import policy
from wire.operator_messages import RoundPolicy, StopCondition

EVERYTHING = {
    "rounds": "500",
    "cohort": "130",
    "report-goal": "130",
    "minimum-reports": "80",
    "selection-deadline-seconds": "30",
    "reporting-deadline-seconds": "300",
    "attribute": "place=garden",
    "minimum-examples": "5",
    "minimum-sdk-version": "0.2",
    "interpreter": "ai-edge-litert=2.1",
    "minimum-rounds-between": "7",
    "evaluation-share": "0.1",
    "read-every": "3",
    "priority": "2.5",
    "stop-when": "loss < 0.25",
    "stop-after-rounds": "4",
    "time-limit-seconds": "86400",
    "keep-last": "10",
    "keep-every": "50",
    "concurrency": "1000",
    "staleness-exponent": "1",
    "maximum-staleness": "20",
}


def parsed(*options: str) -> RoundPolicy:
    parser = argparse.ArgumentParser()
    policy.add_arguments(parser)
    return policy.policy_of(parser.parse_args(options))


def test_without_options_a_policy_is_the_default_one() -> None:
    assert parsed() == RoundPolicy()


def test_every_field_of_a_policy_has_its_option() -> None:
    found = parsed(*(part for name, value in EVERYTHING.items() for part in (f"--{name}", value)))
    assert found == RoundPolicy(
        rounds=500,
        cohort=130,
        report_goal=130,
        minimum_reports=80,
        selection_deadline_seconds=30,
        reporting_deadline_seconds=300,
        attributes={"place": "garden"},
        minimum_examples=5,
        minimum_sdk_version="0.2",
        interpreters={"ai-edge-litert": "2.1"},
        minimum_rounds_between=7,
        evaluation_share=0.1,
        read_every=3,
        priority=2.5,
        stop_when=StopCondition("loss", below=0.25, rounds=4),
        time_limit_seconds=86400,
        keep_last=10,
        keep_every=50,
        concurrency=1000,
        staleness_exponent=1.0,
        maximum_staleness=20,
    )
    default = RoundPolicy()
    assert [field.name for field in fields(found) if getattr(found, field.name) == getattr(default, field.name)] == []


def test_an_interpreter_needs_no_version_and_a_bound_may_be_above() -> None:
    found = parsed("--interpreter", "tflite-runtime", "--interpreter", "ai-edge-litert=2", "--stop-when", "auc>0.9")
    assert found.interpreters == {"tflite-runtime": "", "ai-edge-litert": "2"}
    assert found.stop_when == StopCondition("auc", above=0.9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stop-when", "accuracy"), "expected --stop-when as"),
        (("--stop-when", "accuracy>high"), "high"),
        (("--attribute", "garden"), "expected NAME=VALUE"),
        (("--keep-every", "2"), "say `keep_last` too"),
        (("--interpreter", "ai-edge-litert=>2"), "a version is numbers with dots"),
        (("--maximum-staleness", "2"), "say `concurrency` too"),
        (("--concurrency", "9", "--report-goal", "3"), "leave `report_goal` out, found a goal of 3 and a cohort of 4"),
    ],
)
def test_options_that_say_no_policy_are_refused(options: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parsed(*options)
