"""Train one network on the workers of a Dask cluster, here two processes of this machine.

Each worker reads its own partitions; parameters and sums of gradients travel. Needs dask[distributed].
"""

import argparse

import numpy as np  # pip install 'nodegrad[all]'
from dask.distributed import Client, LocalCluster  # pip install 'dask[distributed]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer rows and epochs")
options = parser.parse_args()
rows, epochs = (1000, 3) if options.quick else (250_000, 50)


class Part:
    """Reads a partition, on the worker."""

    def __init__(self, number):
        self.number = number

    def __call__(self):
        """Return rows and targets."""
        X = np.random.default_rng(self.number).uniform(-1.0, 1.0, (rows, 2))
        return X, X[:, 0] * X[:, 1]


if __name__ == "__main__":
    model = ng.nn.MLP(2, [16, 16, 1], activation="tanh", seed=1)
    parts = [Part(number) for number in range(4)]
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**workers) as cluster, Client(cluster) as client:
        history = ng.training.dask_fit(client, model, parts, learning_rate=0.01, epochs=epochs, seed=1)
    print(history)
