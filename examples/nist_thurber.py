"""Fit a rational function by Levenberg-Marquardt, and compare with the parameters that NIST certifies.

The data are Thurber's study of electron mobility in semiconductors, one of the Statistical Reference Datasets
of the National Institute of Standards and Technology: https://www.itl.nist.gov/div898/strd
"""

import argparse
import re
from pathlib import Path

import matplotlib.pyplot as plt  # pip install 'nodegrad[all]'
import numpy as np  # pip install 'nodegrad[all]'

import nodegrad as ng

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="fewer iterations, which are enough here")
parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for what is saved")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

text = (Path(__file__).parent / "data" / "Thurber.dat").read_text(encoding="ascii")
table = np.array([line.split()[:3] for line in re.findall(r"^ *b\d = *(.*)$", text, re.MULTILINE)], float)
y, x = np.array([line.split() for line in text[text.rindex("Data:") :].splitlines()[1:]], float).T

b = [ng.Value(start, f"b{place + 1}") for place, start in enumerate(table[:, 1])]


def mobility(x):
    """Divide a cubic in the logarithm of the density by another."""
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1.0 + b[4] * x + b[5] * x**2 + b[6] * x**3)


history = ng.fit(mobility, x, y, optimizer="lm", parameters=b, epochs=100 if options.quick else 500)
print(history)
for value, certified in zip(b, table[:, 2], strict=True):
    digits = -np.log10(abs(value.data / certified - 1.0) + 1e-16)
    print(f"{value.label} = {value.data:.10g}, certified {certified:.10g}: {digits:.1f} digits")

figure, ax = plt.subplots(layout="constrained")
grid = np.linspace(x.min(), x.max(), 200)
ax.plot(grid, ng.compile(mobility).map(grid))
ax.scatter(x, y, s=14, color="black")
ax.set(xlabel="logarithm of the density", ylabel="electron mobility")
figure.savefig(options.out / "nist_thurber.png")
