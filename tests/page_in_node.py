"""Run the part of a player's page that computes, without its page, in Node."""

import json
import re
import subprocess

import needs
from nodegrad.show.players.rows import literal

RUNNER = r"""
const jobs = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = jobs.map(({ script, data, settings, question }) =>
  new Function("page", "settings", `${script}\n${question}`)(data, settings));
process.stdout.write(JSON.stringify(found));
"""
GRAPH = r"""
const plain = (x) => (Number.isFinite(x) ? x : String(x));
const graph = makeGraph(page);
return settings.map((setting) => {
  for (const [leaf, x] of setting) graph.set(leaf, Number(x));
  return {
    data: [...graph.data].map(plain),
    right: [...graph.right()].map(plain),
    partials: graph.operands.map((from, node) => from.map((_, index) => plain(graph.partial(node, index)))),
    ends: MODES.map((mode) => [...graph.backward(mode, graph.pushes(mode)).grads].map(plain)),
    order: graph.pushes(MODES[1]).map(([node]) => node),
  };
});
"""


def data_of(page):
    """Return what a page holds as data."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL)
    return json.loads(found[1])


def script_of(page):
    """Return the script of a page as far as it needs no page: rows, numbers, graph and story."""
    (script,) = re.findall(r"<script>(.*?)</script>", page.html, re.DOTALL)
    return script.partition("// What pages share")[0]


def job(page, settings=((),), question=GRAPH):
    """Return a job: some settings of leaves [(position, number) ...], and what to ask of the page."""
    numbers = [[(leaf, literal(x)) for leaf, x in setting] for setting in settings]
    return {"script": script_of(page), "data": data_of(page), "settings": numbers, "question": question}


def run_node(jobs):
    """Run jobs in one process of Node, and return their answers."""
    command = [needs.program("node"), "-e", RUNNER]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
