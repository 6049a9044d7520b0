"""The options of `fedelta task push` that make a round policy."""

import argparse
import re

from wire.operator_messages import RoundPolicy, StopCondition

_CONDITION = re.compile(r"\s*([^<>]+?)\s*([<>])\s*([^<>\s]+)\s*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them, each with the policy's own default."""
    defaults = RoundPolicy()
    rounds = parser.add_argument_group("rounds")
    rounds.add_argument("--rounds", type=int, default=defaults.rounds, help="completed rounds (default: %(default)s)")
    rounds.add_argument(
        "--cohort", type=int, default=defaults.cohort, help="devices selected a round (default: %(default)s)"
    )
    rounds.add_argument("--report-goal", type=int, help="reports that end a round at once (default: the cohort)")
    rounds.add_argument("--minimum-reports", type=int, help="fewer abandon a round (default: the report goal)")
    for phase, seconds in (
        ("selection", defaults.selection_deadline_seconds),
        ("reporting", defaults.reporting_deadline_seconds),
    ):
        rounds.add_argument(
            f"--{phase}-deadline-seconds", type=float, default=seconds, help=f"of the {phase} (default: %(default)s)"
        )
    rounds.add_argument("--priority", type=float, default=defaults.priority, help="its share beside other tasks (1)")
    rounds.add_argument(
        "--concurrency", type=int, metavar="DEVICES", help="at work at any time: asynchronous rounds of cohort reports"
    )
    rounds.add_argument(
        "--staleness-exponent",
        type=float,
        default=defaults.staleness_exponent,
        metavar="A",
        help="with --concurrency, an update counts (1 + its staleness)^-A (default: %(default)s)",
    )
    rounds.add_argument("--maximum-staleness", type=int, metavar="ROUNDS", help="of an update (default: no bound)")
    _add_devices(parser.add_argument_group("devices"), defaults)
    _add_lifetime(parser.add_argument_group("lifetime"), defaults)


def _add_devices(group: argparse._ArgumentGroup, defaults: RoundPolicy) -> None:
    group.add_argument(
        "--attribute", action="append", default=[], metavar="NAME=VALUE", help="select only devices with it"
    )
    group.add_argument(
        "--minimum-examples", type=int, default=defaults.minimum_examples, help="a device has (default: %(default)s)"
    )
    group.add_argument("--minimum-sdk-version", default="", metavar="VERSION", help="only this SDK or a newer one")
    group.add_argument(
        "--interpreter",
        action="append",
        default=[],
        metavar="NAME[=VERSION]",
        help="only devices with it, or a newer one; repeat for several",
    )
    group.add_argument(
        "--minimum-rounds-between", type=int, default=0, help="of a device's reports (default: %(default)s)"
    )
    group.add_argument(
        "--evaluation-share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the devices: never trained on; with --reads, selected alone (default: none)",
    )


def _add_lifetime(group: argparse._ArgumentGroup, defaults: RoundPolicy) -> None:
    group.add_argument(
        "--stop-when", metavar="METRIC>BOUND", help="complete the task early, as 'accuracy>0.9' or 'loss<0.1'"
    )
    group.add_argument("--stop-after-rounds", type=int, default=1, help="in so many rounds running (%(default)s)")
    group.add_argument("--time-limit-seconds", type=float, help="no round begins later (default: none)")
    group.add_argument(
        "--read-every", type=int, default=defaults.read_every, help="with --reads, each so-many-th round (1)"
    )
    group.add_argument("--keep-last", type=int, metavar="COUNT", help="of the checkpoints (default: all)")
    group.add_argument("--keep-every", type=int, metavar="COUNT", help="each so-many-th round's checkpoint too")


def policy_of(arguments: argparse.Namespace) -> RoundPolicy:
    """The policy that they say.

    Raises:
        ValueError: they contradict one another, or are not what they should be.
    """
    return RoundPolicy(
        rounds=arguments.rounds,
        cohort=arguments.cohort,
        report_goal=arguments.report_goal,
        minimum_reports=arguments.minimum_reports,
        selection_deadline_seconds=arguments.selection_deadline_seconds,
        reporting_deadline_seconds=arguments.reporting_deadline_seconds,
        attributes=dict(pair(text) for text in arguments.attribute),
        minimum_examples=arguments.minimum_examples,
        minimum_sdk_version=arguments.minimum_sdk_version,
        interpreters={name: version for name, _, version in (text.partition("=") for text in arguments.interpreter)},
        minimum_rounds_between=arguments.minimum_rounds_between,
        evaluation_share=arguments.evaluation_share,
        read_every=arguments.read_every,
        priority=arguments.priority,
        stop_when=_stop_condition(arguments.stop_when, arguments.stop_after_rounds),
        time_limit_seconds=arguments.time_limit_seconds,
        keep_last=arguments.keep_last,
        keep_every=arguments.keep_every,
        concurrency=arguments.concurrency,
        staleness_exponent=arguments.staleness_exponent,
        maximum_staleness=arguments.maximum_staleness,
    )


def pair(text: str) -> tuple[str, str]:
    """The two halves of NAME=VALUE.

    Raises:
        ValueError: there is no sign between them.
    """
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"expected NAME=VALUE, found {text!r}")
    return name, value


def _stop_condition(text: str | None, rounds: int) -> StopCondition | None:
    if text is None:
        return None
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ValueError(f"expected --stop-when as 'accuracy>0.9' or 'loss<0.1', found {text!r}")
    metric, sign, bound = found.groups()
    if sign == ">":
        return StopCondition(metric, above=float(bound), rounds=rounds)
    return StopCondition(metric, below=float(bound), rounds=rounds)
