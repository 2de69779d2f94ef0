"""Four lanes at a time: the weighted sum over 4 x 4 knots in vector instructions, which Numba does not find by itself."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from mer_pipe.stages.magnify.spline import LANES

_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def weighed(typingctx, knots, first, stride, across, down):
    """Four float32: sum over j and i of ``down[j] * across[i] * knots[first + j * stride + 4 * i :][:4]``.

    Numba leaves LLVM's vectoriser of straight code off, so that the 16 loads of four neighbours each would be 64. Sums
    are taken from left to right and then from top to bottom, each product rounded: the same bits on every processor.

    Parameters
    ----------
    knots : contiguous float32, one dimension. Nothing checks that the indices lie within.
    first, stride : uint64.
    across, down : four float32 each.
    """
    signature = types.UniTuple(types.float32, LANES)(knots, first, stride, across, down)

    def generate(context, builder, signature, arguments):
        knots, at, stride, across, down = arguments
        data = context.make_array(signature.args[0])(context, builder, knots).data
        columns = [_spread(builder, builder.extract_value(across, i)) for i in range(4)]
        total = None
        for j in range(4):
            line = None
            for i in range(4):
                there = builder.gep(data, [builder.add(at, ir.Constant(at.type, LANES * i))])
                knot = builder.load(builder.bitcast(there, _VECTOR.as_pointer()), align=4)
                line = _added(builder, line, builder.fmul(columns[i], knot))
            total = _added(builder, total, builder.fmul(_spread(builder, builder.extract_value(down, j)), line))
            at = builder.add(at, stride)
        return cgutils.pack_array(builder, [builder.extract_element(total, _INDEX(i)) for i in range(LANES)])

    return signature, generate


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A vector whose lanes all hold `value`."""
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, _INDEX(0))
    all_first = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), all_first)


def _added(builder: ir.IRBuilder, total: ir.Value | None, term: ir.Value) -> ir.Value:
    return term if total is None else builder.fadd(total, term)
