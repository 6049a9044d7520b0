"""Flower's client: the NumPy loop's steps. In a module of its own, which Flower's processes import by its name."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.simulated_clients import EXAMPLES, MLP, Clients, trained_by_hand

CLIENTS = Clients(MLP, 100)
app = ClientApp()


@app.train()  # type: ignore[untyped-decorator]  # Flower is not installed where types are checked
def train(message: Message, context: Context) -> Message:
    """What a client answers to the model."""
    number = int(context.node_config["partition-id"])
    after = trained_by_hand(message.content["arrays"].to_numpy_ndarrays(), CLIENTS.batches(number % CLIENTS.count))
    answer = {"arrays": ArrayRecord(after), "metrics": MetricRecord({"num-examples": EXAMPLES})}
    return Message(RecordDict(answer), reply_to=message)
