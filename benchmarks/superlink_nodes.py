"""Nodes of Flower's in one process: `python -m benchmarks.superlink_nodes ADDRESS COUNT INPUTS OUTPUTS`.

Each has Flower's own connection of a SuperNode (its key, its heartbeats, its signed requests) and does what a SuperNode
does with it, but starts no process for an app: it fetches the model, and answers with an update of random numbers.

It obeys the lines of its standard input: `pull N` asks N times for messages; `work` begins to work, and says when each
round begins and when a node fails. Every answer is a line of JSON.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree, iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import pull_objects, push_object_contents_from_iterable
from flwr.supernode.fleet_http_connection import http_request_response

CONNECTIONS = 4
_REST_SECONDS = 3.0  # of a SuperNode that found no message


@dataclass(frozen=True)
class Node:
    """What a SuperNode's connection can do."""

    receive: Callable[[], Any]
    send: Callable[..., Any]
    pull_object: Callable[..., bytes]
    push_object: Callable[..., None]
    confirm: Callable[..., None]

    def answer(self, received: Any, values: list[np.ndarray]) -> None:
        """Fetch the objects of a message, and hand in those of the reply."""
        message, tree = received
        run = message.metadata.run_id
        wanted = sorted({part.object_id for part in iterate_object_tree(tree)})
        pull_objects(wanted, lambda name: self.pull_object(run, name))
        self.confirm(run, message.metadata.message_id)
        content = RecordDict({"arrays": ArrayRecord(values), "metrics": MetricRecord({"num-examples": 1.0})})
        reply = Message(content, reply_to=message)
        reply.metadata.__dict__["_message_id"] = reply.object_id  # as a SuperNode gives it its name
        objects = get_all_nested_objects(reply)
        missing, session = self.send(reply, get_object_tree(reply), 0.0)
        contents = ((name, objects[name].deflate()) for name in objects if name in missing)
        push_object_contents_from_iterable(contents, lambda name, body: self.push_object(run, session, name, body))


@contextmanager
def connected(address: str) -> Iterator[Node]:
    """A node that is registered and active, until the end of the block."""
    with http_request_response(address, insecure=True) as (_, receive, send, _, _, pull_object, push_object, confirm):
        yield Node(receive, send, pull_object, push_object, confirm)


def work(node: Node, number: int, shapes: list[tuple[int, ...]], begins: Callable[[int], None]) -> None:
    """Answer whatever comes, for ever; the n-th message is of round n."""
    random = np.random.default_rng(number)
    for round_number in itertools.count(1):
        try:
            while (received := node.receive()) is None:
                time.sleep(_REST_SECONDS)
            begins(round_number)
            node.answer(received, [random.uniform(0.1, 1, shape).astype(np.float32) for shape in shapes])
        except Exception:  # of whatever kind: without this node no round ends
            say(failed=round_number)
            raise


class Rounds:
    """Says when a round's first message has come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = 0

    def begins(self, round_number: int) -> None:
        """A node has its message of this round."""
        with self._lock:
            if round_number > self._newest:
                self._newest = round_number
                say(round=round_number)


def main(address: str, count: int, inputs: int, outputs: int) -> None:
    """Connect the nodes, and obey until the standard input ends."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(connected(address)) for _ in range(count)]
        say(nodes=count)
        for line in sys.stdin:
            order, _, times = line.strip().partition(" ")
            if order == "pull":
                with ThreadPoolExecutor(CONNECTIONS) as pool:
                    found = list(pool.map(lambda number: nodes[number % count].receive(), range(int(times))))
                say(pulls=len(found), messages=sum(message is not None for message in found))
            else:
                rounds, shapes = Rounds(), [(inputs, outputs), (outputs,)]
                for number, node in enumerate(nodes):
                    threading.Thread(target=work, args=(node, number, shapes, rounds.begins), daemon=True).start()


def say(**document: int) -> None:
    """Write a line, whole."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
