"""`fedelta task`: what a population computes, pushed and watched."""

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from federated.cli import connection, policy, table
from wire import codec
from wire.command import Command
from wire.errors import MessageError
from wire.events import MISSED, OPENED, Event
from wire.operator import OperatorClient
from wire.operator_messages import RoundView, TaskRequest, TaskView

_REPORTS = "round.reports"
_OPEN = ("running", "paused")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_push(actions.add_parser("push", help="push a plan or a .keras model as a task"))
    for name, action, summary in (
        ("list", _list, "the newest tasks"),
        ("show", _show, "a task and its rounds"),
        ("round", _round, "one round of a task, and what became of its devices"),
        ("watch", _watch, "follow a task until it ends"),
        ("result", _result, "what a round of a task gave"),
        ("pause", _pause, "let a task begin nothing new"),
        ("resume", _resume, "let a paused task go on"),
        ("cancel", _cancel, "stop a task"),
    ):
        parser_of_action = actions.add_parser(name, help=summary, description=summary)
        connection.add_arguments(parser_of_action)
        if name == "list":
            parser_of_action.add_argument("--population", help="only of this population")
            parser_of_action.add_argument(
                "--state", choices=("running", "completed", "cancelled", "failed"), help="only in this state"
            )
            parser_of_action.add_argument(
                "--most", type=int, default=100, help="at most so many (default: %(default)s)"
            )
        else:
            parser_of_action.add_argument("task_id", help="the task's id")
        if name == "round":
            parser_of_action.add_argument("round_number", type=int, help="the round's number")
        if name == "result":
            parser_of_action.add_argument("--round", type=int, help="the round's number (default: the last completed)")
            parser_of_action.add_argument("--out", type=Path, help="write the tensors to a safetensors file")
        parser_of_action.set_defaults(action=action)


def _add_push(parser: argparse.ArgumentParser) -> None:
    connection.add_arguments(parser)
    parser.add_argument("file", type=Path, nargs="?", help="a .plan or .keras file; not needed with --reads")
    parser.add_argument("--name", help="the task's name (default: the file's)")
    parser.add_argument("--population", default="default", help="who computes it (default: %(default)s)")
    parser.add_argument(
        "--work", help="which of the plan's works (default: the only one, or train, or evaluate with --reads)"
    )
    parser.add_argument("--reads", metavar="TASK_ID", help="evaluate the checkpoints of this task, each once")
    parser.add_argument("--warm-start", metavar="SHA256", help="begin with this checkpoint, by its digest")
    policy.add_arguments(parser)
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="for a .keras model, a setting of `fedelta export`, as learning_rate=0.1",
    )
    parser.set_defaults(action=_push)


def _run(arguments: argparse.Namespace, client: OperatorClient) -> int:
    return int(arguments.action(arguments, client))


def _push(arguments: argparse.Namespace, client: OperatorClient) -> int:
    try:
        request = _task_request(arguments)
        data = None if arguments.file is None else arguments.file.read_bytes()
    except (ValueError, MessageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    is_model = arguments.file is not None and arguments.file.suffix == ".keras"
    if is_model:
        print("the orchestrator exports the model; this takes a while …", file=sys.stderr)
    task = client.push(request, plan=None if is_model else data, model=data if is_model else None)
    print(task.task_id)
    return 0


def _task_request(arguments: argparse.Namespace) -> TaskRequest:
    if arguments.file is None and arguments.reads is None:
        raise ValueError("a task needs a .plan or .keras file, or --reads")
    return TaskRequest(
        name=arguments.name or (arguments.file.stem if arguments.file else "evaluation"),
        population=arguments.population,
        work=arguments.work,
        reads=arguments.reads,
        warm_start=arguments.warm_start,
        policy=policy.policy_of(arguments),
        export={name: _json_value(value) for name, value in map(policy.pair, arguments.setting)},
    )


def _json_value(text: str) -> Any:
    try:
        return codec.parse(text)
    except MessageError:
        return text


def _list(arguments: argparse.Namespace, client: OperatorClient) -> int:
    rows = [
        [
            task.task_id,
            task.name,
            task.work,
            task.population,
            task.state,
            f"{task.rounds_completed}/{task.policy.rounds}",
        ]
        for task in islice(client.tasks(population=arguments.population, state=arguments.state), arguments.most)
    ]
    print(table.aligned(["task", "name", "work", "population", "state", "rounds"], rows))
    return 0


def _show(arguments: argparse.Namespace, client: OperatorClient) -> int:
    task = client.task(arguments.task_id)
    print(json.dumps(codec.to_json(task), indent=2))
    print(table.of_rounds(client.rounds(task.task_id)))
    return 0


def _round(arguments: argparse.Namespace, client: OperatorClient) -> int:
    detail = client.round(arguments.task_id, arguments.round_number)
    print(table.of_rounds([detail.round]))
    print(", ".join(f"{count} {state}" for state, count in detail.assignments.items() if count) or "no devices yet")
    for reason in detail.reasons:
        print(f"{reason.count} {reason.state}: {reason.reason}")
    return 0


def _result(arguments: argparse.Namespace, client: OperatorClient) -> int:
    result = client.result(arguments.task_id, arguments.round)
    if arguments.out is not None:
        arguments.out.write_bytes(client.resource(result.sha256))
    elif result.values is None:
        print(f"error: the result has {result.size_bytes} bytes, too many to show; give --out FILE", file=sys.stderr)
        return 1
    if result.values is not None:
        print(json.dumps(result.values, indent=2))
    return 0


def _cancel(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(client.cancel(arguments.task_id).state)
    return 0


def _pause(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(client.pause(arguments.task_id).state)
    return 0


def _resume(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(client.resume(arguments.task_id).state)
    return 0


def _watch(arguments: argparse.Namespace, client: OperatorClient) -> int:
    task = client.task(arguments.task_id)
    told: set[int] = set()
    with tqdm(total=task.policy.rounds, desc=task.name, unit="round", file=sys.stderr) as bar:
        for event in client.events(task.task_id):
            if event.kind == _REPORTS:
                bar.set_postfix_str(f"{event.detail['reported']} reports")
                continue
            task = client.task(task.task_id)  # before the rounds: an ended task has no more of them to come
            for round_ in _ended_rounds(client, task, event):
                if round_.round_number not in told:
                    told.add(round_.round_number)
                    bar.write(_sentence(round_), file=sys.stdout)
            bar.update(task.rounds_completed - bar.n)
            if task.state not in _OPEN and not event.kind.startswith("round."):
                break
    return _ending(task)


def _ended_rounds(client: OperatorClient, task: TaskView, event: Event) -> list[RoundView]:
    """The rounds whose end an event tells of; of what was before the stream, the list knows."""
    if event.kind in (OPENED, MISSED):
        return [round_ for round_ in client.rounds(task.task_id) if round_.ended_at is not None]
    if event.ends_round and event.round_number is not None:
        return [client.round(task.task_id, event.round_number).round]
    return []


def _sentence(round_: RoundView) -> str:
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(round_.metrics.items()))
    return f"round {round_.round_number}: {round_.state}, {round_.reported} reports  {metrics or round_.reason}"


def _ending(task: TaskView) -> int:
    why = task.failure or task.completed_because
    print(f"{task.name}: {task.state} after {task.rounds_completed} rounds {f'({why})' if why else ''}".rstrip())
    return 0 if task.state == "completed" else 1


COMMAND = Command(
    "task",
    "push, list, show, watch, pause, resume, cancel tasks, and see their results",
    _add_arguments,
    connection.connected(_run),
)
