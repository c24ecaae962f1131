"""Reading compiled programs: shapes, loops, and how often each instruction runs."""

import jax
import jax.numpy as jnp
import pytest

from flan_jax.plan import hlo

LOOP = """
HloModule made_by_hand, is_scheduled=true

%add_one (p: s32[]) -> s32[] {
  %p = s32[] parameter(0)
  %one = s32[] constant(1)
  ROOT %sum = s32[] add(%p, %one)
}

%inner_body (ib: (s32[], f32[8])) -> (s32[], f32[8]) {
  %ib = (s32[], f32[8]{0:T(256)}) parameter(0)
  %i.1 = s32[] get-tuple-element(%ib), index=0
  %x.1 = f32[8]{0:T(256)} get-tuple-element(%ib), index=1
  %two = s32[] constant(2)
  %next.1 = s32[] add(%i.1, %two)
  %y.1 = f32[8]{0:T(256)} negate(%x.1)
  ROOT %out.1 = (s32[], f32[8]{0:T(256)}) tuple(%next.1, %y.1)
}

%inner_condition (ic: (s32[], f32[8])) -> pred[] {
  %ic = (s32[], f32[8]{0:T(256)}) parameter(0)
  %c.1 = s32[] get-tuple-element(%ic), index=0
  %limit.1 = s32[] constant(7)
  ROOT %less.1 = pred[] compare(%c.1, %limit.1), direction=LT
}

%outer_body (ob: (f32[8], s32[])) -> (f32[8], s32[]) {
  %ob = (f32[8]{0:T(256)}, /*index=1*/s32[]) parameter(0)
  %x.2 = f32[8]{0:T(256)} get-tuple-element(%ob), index=0
  %i.2 = s32[] get-tuple-element(%ob), index=1
  %start = s32[] constant(1)
  %copied = s32[] copy(%start)
  %inner_in = (s32[], f32[8]{0:T(256)}) tuple(%copied, %x.2)
  %inner = (s32[], f32[8]{0:T(256)}) while(%inner_in), condition=%inner_condition, body=%inner_body
  %y.2 = f32[8]{0:T(256)} get-tuple-element(%inner), index=1
  %next.2 = s32[] fusion(%i.2), kind=kLoop, calls=%add_one
  ROOT %out.2 = (f32[8]{0:T(256)}, s32[]) tuple(%y.2, %next.2)
}

%outer_condition (oc: (f32[8], s32[])) -> pred[] {
  %oc = (f32[8]{0:T(256)}, s32[]) parameter(0)
  %c.2 = s32[] get-tuple-element(%oc), index=1
  %limit.2 = s32[] constant(4)
  ROOT %more = pred[] compare(%limit.2, %c.2), direction=GE
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0:T(256)} parameter(0)
  %zero = s32[] constant(0)
  %outer_in = (f32[8]{0:T(256)}, s32[]) tuple(%a, %zero)
  %outer = (f32[8]{0:T(256)}, s32[]) while(%outer_in), condition=%outer_condition, body=%outer_body
  ROOT %result = f32[8]{0:T(256)} get-tuple-element(%outer), index=0
}
"""


def test_loops_multiply():
    program = hlo.parse(LOOP)
    # 0, 1, 2, 3, 4 in the outer loop; 1, 3, 5 in the inner one.
    assert program.runs["outer_body"] == 5
    assert program.runs["inner_body"] == 15
    assert program.runs["main"] == 1
    assert "add_one" not in program.runs
    assert program.unknown_loops == []
    runs = {i.name: times for _, i, times in program.executed()}
    assert runs["y.1"] == 15


def test_loop_of_unknown_length_is_named_and_counted_once():
    program = hlo.parse(LOOP.replace("%limit.1 = s32[] constant(7)", "%limit.1 = s32[] copy(%c.1)"))
    assert program.unknown_loops == ["inner"]
    assert program.runs["inner_body"] == 5
    told = hlo.parse(LOOP.replace("%limit.1 = s32[] constant(7)", "%limit.1 = s32[] copy(%c.1)"), 9)
    assert told.runs["inner_body"] == 45


def test_trip_count_that_xla_wrote_down_wins():
    known = ', backend_config={"known_trip_count":{"n":"11"}}'
    text = LOOP.replace("body=%inner_body\n", f"body=%inner_body{known}\n")
    assert hlo.parse(text).runs["inner_body"] == 55


def test_a_compiled_scan_counts_its_steps():
    def steps(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c) @ c, None), x, None, length=13)[0]

    text = jax.jit(steps).lower(jnp.ones((4, 4))).compile().as_text()
    program = hlo.parse(text)
    dots = [
        times for _, i, times in program.executed() if i.opcode in ("dot", "fusion", "custom-call")
    ]
    assert max(dots) == 13 and not program.unknown_loops


@pytest.mark.parametrize(
    ("text", "dtype", "dims", "space", "nbytes"),
    [
        ("f32[8,1024]{1,0:T(8,128)}", "f32", (8, 1024), 0, 8 * 1024 * 4),
        # The tile pads 100 to 128 along the fastest dimension and 5 to 8 along the next.
        ("bf16[2,5,100]{2,1,0:T(8,128)(2,1)S(1)}", "bf16", (2, 5, 100), 1, 2 * 8 * 128 * 2),
        ("bf16[100,5]{0,1:T(8,128)(2,1)}", "bf16", (100, 5), 0, 128 * 8 * 2),
        ("pred[7]", "pred", (7,), 0, 7),
        ("s4[3]", "s4", (3,), 0, 2),
        ("f32[]", "f32", (), 0, 4),
        ("c64[2]", "c64", (2,), 0, 16),
        ("token[]", "token", (), 0, 0),
    ],
)
def test_shapes(text, dtype, dims, space, nbytes):
    (shape,) = hlo.parse_shapes(text)
    assert (shape.dtype, shape.dims, shape.space) == (dtype, dims, space)
    assert shape.nbytes == nbytes


def test_text_that_is_no_program():
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.parse("nothing here")
