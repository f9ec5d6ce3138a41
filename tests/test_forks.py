"""A process may fork whatever its threads do: the child finds no lock held and no sweep half done."""

import os
from pathlib import Path

import pytest

import nodegrad

FORK_WHILE_ANOTHER_THREAD_DIFFERENTIATES = """
import os, signal, threading
from nodegrad import Value

x = Value(1.0)
y = x
for _ in range(50_000):
    y = y * 1.0
x.grad = 5.0

def differentiate():
    begun.set()
    while not stop.is_set():
        y.backward()

begun, stop = threading.Event(), threading.Event()
thread = threading.Thread(target=differentiate)
thread.start()
begun.wait()
statuses = []
for _ in range(5):
    child = os.fork()
    if not child:
        signal.alarm(20)  # a child that hangs dies of it
        a = Value(3.0)
        (a * a).backward()
        os._exit(0 if a.grad == 6.0 and x.grad >= 5.0 else 1)
    statuses.append(os.waitpid(child, 0)[1])
stop.set()
thread.join()
print(statuses)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_process_forked_while_another_thread_differentiates_can_differentiate(run_python):
    found = run_python("-W", "ignore", "-c", FORK_WHILE_ANOTHER_THREAD_DIFFERENTIATES, timeout=60)

    assert found.strip() == f"{[0] * 5}"


def test_every_lock_stands_where_forks_find_it():
    package = Path(nodegrad.__file__).parent
    makers = [path.name for path in package.rglob("*.py") if "Lock()" in path.read_text(encoding="utf-8")]

    assert makers == ["forks.py"]
