"""What Flower's SuperLink runs for `benchmarks.superlink`: federated averaging of a model of one dense layer.

`benchmarks.superlink` packs this file as the whole of a Flower app. Its client is never run;
`benchmarks.superlink_nodes` answers in its place.
"""

from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg

client = ClientApp()
server = ServerApp()


@server.main()  # type: ignore[untyped-decorator]  # Flower is not installed where types are checked
def serve(grid: Any, context: Any) -> None:
    """Hold the rounds, every node in each."""
    nodes, inputs, outputs = (context.run_config[name] for name in ("nodes", "inputs", "outputs"))
    model = ArrayRecord([np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32)])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    strategy.start(grid, model, num_rounds=context.run_config["rounds"])
