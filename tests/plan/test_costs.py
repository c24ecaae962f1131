"""FLOPs, traffic and collectives of compiled programs, against counts by hand and XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flan_jax.plan import costs, groups, hlo


def _one(line: str, *operands: str) -> tuple[hlo.Computation, hlo.Instruction]:
    parameters = "".join(f"  %p{i} = {shape} parameter({i})\n" for i, shape in enumerate(operands))
    program = hlo.parse(f"ENTRY %main () -> f32[] {{\n{parameters}  ROOT %r = {line}\n}}\n")
    computation = program.computations["main"]
    return computation, computation.root


def test_dot():
    line = "f32[3,4,6]{2,1,0} dot(%p0, %p1), lhs_batch_dims={0}, lhs_contracting_dims={2}"
    assert costs.matmul_flops(*_one(line, "f32[3,4,5]", "f32[3,5,6]")) == 2 * 3 * 4 * 6 * 5


def test_convolution_as_the_tpu_compiler_writes_a_product():
    line = "bf16[8,16,32,1]{2,1,0,3} convolution(%p0, %p1), dim_labels=0bf1_1io0->0bf1"
    shapes = ("bf16[8,16,64,1]", "bf16[1,64,32,1]")
    assert costs.matmul_flops(*_one(line, *shapes)) == 2 * 8 * 16 * 32 * 64


def test_batched_product_written_as_a_convolution_counts_real_inputs_only():
    # Eight independent 16x64 @ 64x32: a window over the batch that meets one real input each.
    window = "window={size=8 stride=7 pad=0_0 lhs_dilate=8}"
    line = f"f32[8,16,32]{{2,1,0}} convolution(%p0, %p1), {window}, dim_labels=0bf_0io->0bf"
    found = costs.matmul_flops(*_one(line, "f32[8,16,64]", "f32[8,64,32]"))
    assert found == 2 * 8 * 16 * 32 * 64


def test_padded_convolution_against_a_count_by_hand():
    # Three taps over five places, one place of padding at each side: 3 * 5 - 2 real products.
    window = "window={size=3 pad=1_1}"
    line = f"f32[1,5,7]{{2,1,0}} convolution(%p0, %p1), {window}, dim_labels=b0f_0io->b0f"
    assert costs.matmul_flops(*_one(line, "f32[1,5,2]", "f32[3,2,7]")) == 2 * 2 * 7 * (3 * 5 - 2)


FUSIONS = """
%slice_layer (f0: f32[24,128,128], f1: s32[]) -> f32[128,128] {
  %f0 = f32[24,128,128]{2,1,0} parameter(0)
  %f1 = s32[] parameter(1)
  %z = s32[] constant(0)
  %cut = f32[1,128,128]{2,1,0} dynamic-slice(%f0, %f1, %z, %z), dynamic_slice_sizes={1,128,128}
  ROOT %b = f32[128,128]{1,0} bitcast(%cut)
}

%write_layer (g0: f32[24,128,128], g1: f32[1,128,128], g2: s32[]) -> f32[24,128,128] {
  %g0 = f32[24,128,128]{2,1,0} parameter(0)
  %g1 = f32[1,128,128]{2,1,0} parameter(1)
  %g2 = s32[] parameter(2)
  %z.1 = s32[] constant(0)
  ROOT %put = f32[24,128,128]{2,1,0} dynamic-update-slice(%g0, %g1, %g2, %z.1, %z.1)
}

%scatter_part (h0: bf16[64,128]) -> bf16[16,128] {
  %h0 = bf16[64,128]{1,0} parameter(0)
  %all = bf16[64,128]{1,0} all-reduce(%h0), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%sum
  %z.2 = s32[] constant(0)
  ROOT %part = bf16[16,128]{1,0} dynamic-slice(%all, %z.2, %z.2), dynamic_slice_sizes={16,128}
}

ENTRY %main (a: f32[24,128,128], n: s32[], h: bf16[64,128]) -> f32[24,128,128] {
  %a = f32[24,128,128]{2,1,0} parameter(0)
  %n = s32[] parameter(1)
  %h = bf16[64,128]{1,0:S(1)} parameter(2)
  %layer = f32[128,128]{1,0} fusion(%a, %n), kind=kLoop, calls=%slice_layer
  %bit = f32[1,128,128]{2,1,0} bitcast(%layer)
  %part = bf16[16,128]{1,0:S(1)} fusion(%h), kind=kCustom, calls=%scatter_part
  %gathered = bf16[64,128]{1,0:S(1)} all-gather(%part), replica_groups=[2,4]<=[8], dimensions={0}
  ROOT %written = f32[24,128,128]{2,1,0} fusion(%a, %bit, %n), kind=kLoop, calls=%write_layer
}
"""


def test_slices_of_stacked_arrays_cost_a_slice():
    found = costs.analyze(FUSIONS)
    layer = 128 * 128 * 4
    # Read and write the slice; read the layer and write it back in place; the counter twice.
    assert found.hbm_bytes == 2 * layer + 2 * layer + 2 * 4
    # The scattered and gathered arrays live on the chip.
    assert found.onchip_bytes == 2 * (64 + 16) * 128 * 2


def test_reduce_scatter_is_recognised_in_its_fusion():
    found = {each.kind: each for each in costs.analyze(FUSIONS).collectives}
    assert set(found) == {"reduce-scatter", "all-gather"}
    assert all(each.nbytes == 64 * 128 * 2 for each in found.values())
    assert found["all-gather"].groups == ((0, 1, 2, 3), (4, 5, 6, 7))


def test_unrolled_program_against_xlas_own_count():
    def network(x, w):
        for _ in range(3):
            x = jnp.tanh(x @ w)
        return x

    shapes = (
        jax.ShapeDtypeStruct((64, 96), jnp.float32),
        jax.ShapeDtypeStruct((96, 96), jnp.float32),
    )
    compiled = jax.jit(network).lower(*shapes).compile()
    mine = costs.analyze(compiled.as_text())
    products = 3 * 2 * 64 * 96 * 96
    theirs = compiled.cost_analysis()
    assert theirs is not None
    # XLA's figure has the element-wise operations too.
    assert mine.flops == products <= theirs["flops"] < 1.02 * products


def test_scanned_program_counts_what_the_unrolled_one_does():
    w = jnp.ones((32, 32))

    def scanned(x):
        return jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=5)[0]

    def unrolled(x):
        for _ in range(5):
            x = jnp.tanh(x @ w)
        return x

    x = jnp.ones((16, 32))
    flops = [
        costs.analyze(jax.jit(f).lower(x).compile().as_text()).flops for f in (scanned, unrolled)
    ]
    assert flops[0] == flops[1] == 5 * 2 * 16 * 32 * 32


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("replica_groups={{0,2},{1,3}}", ((0, 2), (1, 3))),
        ("replica_groups=[2,2]<=[4]", ((0, 1), (2, 3))),
        ("replica_groups=[2,2]<=[2,2]T(1,0)", ((0, 2), (1, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'a'}", ((0, 2), (1, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'b'}", ((0, 1), (2, 3))),
        ("replica_groups=mesh['a'=2,'b'=2] {'a','b'}", ((0, 1, 2, 3),)),
        ("replica_groups=mesh['a'=4] {'a':(2)2}", ((0, 1), (2, 3))),
        (
            "replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}, dimensions={0}",
            ((0, 1), (2, 3)),
        ),
        ("replica_groups=mesh['a'=2,'b'=2], device_ids=([3,1,2,0]) {'b'}", ((3, 1), (2, 0))),
        ("replica_groups={}", ()),
    ],
)
def test_replica_groups(attributes, expected):
    assert groups.replica_groups(attributes) == expected


def test_axes_of_groups():
    shape = {"data": 2, "fsdp": 2, "model": 2}
    assert groups.mesh_axes(((0, 1), (2, 3)), shape) == ("model",)
    assert groups.mesh_axes(((0, 2), (1, 3)), shape) == ("fsdp",)
    assert groups.mesh_axes(((0, 4),), shape) == ("data",)
    assert groups.mesh_axes(((0, 3),), shape) == ("fsdp", "model")
    assert groups.mesh_axes((), shape) == ("data", "fsdp", "model")


def test_collectives_of_a_compiled_program_lie_along_the_axis_that_is_summed():
    mesh = Mesh(np.array(jax.devices()[:8]).reshape(4, 2), ("data", "model"))
    split = NamedSharding(mesh, PartitionSpec("data", "model"))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((64, 128), jnp.float32, sharding=split)
    w = jax.ShapeDtypeStruct(
        (128, 32), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("model"))
    )
    compiled = jax.jit(lambda x, w: x @ w, out_shardings=rows).lower(x, w).compile()
    (found,) = costs.analyze(compiled.as_text()).collectives
    assert found.kind == "all-reduce" and found.calls == 1
    assert found.nbytes == 16 * 32 * 4
    assert groups.mesh_axes(found.groups, dict(mesh.shape)) == ("model",)


def test_kernels_tell_their_own_cost():
    line = (
        'f32[8]{0} custom-call(%p0), custom_call_target="tpu_custom_call", backend_config='
        '{"custom_call_config":{"body":"x","cost_estimate":{"flops":"1000","bytes_accessed":"64"}}}'
    )
    _, instruction = _one(line, "f32[8]{0}")
    assert costs.kernel_cost(instruction) == {"flops": 1000.0, "bytes_accessed": 64.0}
    text = f"ENTRY %main () -> f32[] {{\n  %p0 = f32[8]{{0}} parameter(0)\n  ROOT %r = {line}\n}}\n"
    assert costs.analyze(text).kernel_flops == 1000.0


def test_sends_to_hosts_are_collectives_between_slices():
    text = (
        "ENTRY %main () -> f32[] {\n  %p0 = f32[128,64]{1,0} parameter(0)\n"
        "  %t = token[] after-all()\n"
        "  %s = (f32[128,64]{1,0}, u32[], token[]) send(%p0, %t), channel_id=4, "
        'is_host_transfer=true, frontend_attributes={_xla_megascale_target="{1,2}x{0:7}",'
        '_xla_megascale_transfer_type="ALL_GATHER"}\n'
        "  ROOT %d = token[] send-done(%s)\n}\n"
    )
    (found,) = costs.analyze(text).collectives
    assert found.between_slices and found.kind == "all-gather"
    assert (found.calls, found.nbytes) == (1, 128 * 64 * 4)
