"""Train one network on several processes: `mpiexec -n 2 python examples/train_with_mpi.py`.

Each rank has rows of its own; sums of losses and gradients travel. Needs mpi4py and an MPI library.
"""

import argparse
import time

import numpy as np  # pip install 'nodegrad[all]'
from mpi4py import MPI  # pip install mpi4py

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer rows")
options = parser.parse_args()
comm = MPI.COMM_WORLD


def combine(array):
    """Return the sum of an array over all ranks."""
    total = np.empty_like(array)
    comm.Allreduce(array, total)
    return total


rows = 10_000 if options.quick else 1_000_000
X = np.random.default_rng(1).uniform(-1.0, 1.0, (rows, 2))[comm.rank :: comm.size]
y = X[:, 0] * X[:, 1]

model = ng.nn.MLP(2, [16, 16, 1], activation="tanh", seed=1)
started = time.perf_counter()
history = ng.fit(model, X, y, lr=0.01, epochs=50, seed=1, combine=combine, progress=comm.rank == 0)
if comm.rank == 0:
    print(f"{comm.size} ranks: {history} in {time.perf_counter() - started:.2f} s")
