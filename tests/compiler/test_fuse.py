"""Fuse: which instructions share a loop, and which results leave it."""

import numpy as np
import pytest

from nodegrad import ops
from nodegrad.compiler import backends
from nodegrad.compiler.program import Program
from nodegrad.compiler.vectorize import vectorize

if backends.choose("auto") != "llvm":
    pytest.skip("needs llvmlite", allow_module_level=True)

from nodegrad.compiler.backends.llvm.fuse import Records, fuse
from nodegrad.compiler.backends.llvm.kernels import Contraction, Elementwise, Load, Step


def kernels(program):
    vector = vectorize(program)
    return [kernel for kernel, _ in planned(vector, vector.outputs).kinds]


def planned(vector, outputs):
    records = Records()
    fuse(records, vector.body, outputs, vector.varying)
    return records


def each(count, *ops_and_operands):
    """Write instructions that each apply to `count` elements: operands are (first slot, stride)."""
    names, operands = [], []
    for op, *firsts in ops_and_operands:
        names += [op] * count
        operands += [tuple(first + stride * i for first, stride in firsts) for i in range(count)]
    return names, operands


def test_a_chain_on_elements_is_one_loop_whose_middle_stays_in_registers():
    names, operands = each(4, (ops.exp, (0, 1)), (ops.neg, (4, 1)))
    program = Program(4, 0, (), names, operands, [8, 9, 10, 11])

    assert kernels(program) == [
        Elementwise(True, (Step(ops.exp, (Load(False, "affine"),), False), Step(ops.neg, (0,), True)))
    ]


def test_a_result_that_is_read_elsewhere_is_stored():
    names, operands = each(4, (ops.exp, (0, 1)), (ops.neg, (4, 1)))
    program = Program(4, 0, (), names, operands, [8, 9, 10, 11, 4])

    assert [step.stored for step in kernels(program)[0].steps] == [True, True]


def test_elements_in_another_order_end_the_loop():
    names, operands = each(4, (ops.exp, (0, 1)), (ops.sub, (4, 1), (7, -1)))
    program = Program(4, 0, (), names, operands, [8, 9, 10, 11])

    assert [len(kernel.steps) for kernel in kernels(program)] == [1, 1]


def test_operations_after_a_contraction_run_on_its_tile():
    dots = [(*range(3 + 4 * i, 6 + 4 * i), 0, 1, 2) for i in range(8)]
    sums = [(35 + i, 6 + 4 * i) for i in range(8)]
    relus = [(43 + i,) for i in range(8)]
    names = [ops.dot] * 8 + [ops.add] * 8 + [ops.relu] * 8
    program = Program(3, 32, (), names, [*dots, *sums, *relus], list(range(51, 59)))

    (kernel,) = kernels(program)

    assert isinstance(kernel, Contraction)
    assert kernel.tile == 4
    assert [factor.shared for factor in kernel.factors] == [False, True]
    assert [step.op.name for step in kernel.steps] == ["add", "relu"]
    assert [step.stored for step in kernel.steps] == [False, True]
    assert not kernel.stored


def steps_of_loops(operations, operands):
    """Fuse instructions over 16 inputs and 64 parameters; return the names of each loop's steps."""
    program = Program(16, 64, (), operations, operands, list(range(80, 80 + len(operations))))
    return [[step.op.name for step in kernel.steps] for kernel in kernels(program)]


def layer(size):
    """Write the operands of a layer's dot products over 8 inputs."""
    return [(*range(16 + 8 * i, 24 + 8 * i), *range(8)) for i in range(size)]


def test_a_later_operation_joins_the_loop_of_its_operand():
    operands = [*[(i,) for i in range(4)], *layer(8), *[(80 + i,) for i in range(4)]]

    found = steps_of_loops([ops.exp] * 4 + [ops.dot] * 8 + [ops.neg] * 4, operands)

    assert found == [["exp", "neg"], []]


def test_an_operation_that_also_reads_a_later_loop_does_not_run_before_it():
    operands = [*[(i,) for i in range(8)], *layer(8), *[(80 + i, 88 + i) for i in range(8)]]

    found = steps_of_loops([ops.exp] * 8 + [ops.dot] * 8 + [ops.mul] * 8, operands)

    assert found == [["exp"], ["mul"]]


@pytest.mark.parametrize(("size", "steps"), [(8, [[], ["tanh"]]), (1, [["tanh"]])])
def test_long_operations_join_a_contraction_of_one_result_only(size, steps):
    operands = [*layer(size), *[(80 + i,) for i in range(size)]]

    assert steps_of_loops([ops.dot] * size + [ops.tanh] * size, operands) == steps


def test_many_scalars_are_records_of_few_kernels():
    names = [ops.sin, ops.mul] * 700
    operands = [(k,) if k % 2 == 0 else (k, 0) for k in range(1400)]
    vector = vectorize(Program(1, 0, (), names, operands, [1400]))

    records = planned(vector, np.array([1400]))

    assert len(records.kinds) == 2
    assert len(records.starts) == 1400


def test_zero_and_one_stand_in_the_kernel_and_minus_zero_does_not():
    from nodegrad.compiler.backends.llvm.plan import plan

    loads = []
    for constant in (0.0, -0.0, 1.0, 2.0):
        names, operands = each(4, (ops.sub, (0, 1), (-1, 0)))
        vector = vectorize(Program(4, 0, (constant,), names, operands, [4, 5, 6, 7]))
        (kernel,) = [
            kernel for kernel, _ in plan(vector, "rows", 2).records.kinds if type(kernel) is Elementwise
        ]
        loads.append(kernel.steps[0].operands[1].mode)

    assert loads == ["0.0", "one", "1.0", "one"]
