"""A plan as one HTML page: fits or not, memory, roofline, collectives, placement."""

import html
from collections.abc import Sequence

from flan_jax import page as page_lib
from flan_jax.plan.analysis import ProgramReport, gib
from flan_jax.plan.report import PlanReport

_CSS = """
.bar { display: flex; height: 22px; border-radius: 4px; overflow: hidden; background: #eef1f5; }
.bar i { display: block; height: 100%; }
.key { color: #5b6675; font-size: 13px; margin: 4px 0 14px; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin: 0 4px 0 12px; }
.line { display: grid; grid-template-columns: 90px 1fr 90px; gap: 8px; align-items: center; }
.over { color: #d1495b; }
"""
_KINDS = ("parameters", "optimizer", "gradients", "activations", "batch")
_COLORS = ("#2a6fb0", "#6aa7d8", "#e0a23b", "#2a9d58", "#8d6cab")
_TERMS = (("compute", "#2a6fb0"), ("HBM", "#2a9d58"), ("ICI", "#e0a23b"), ("DCN", "#8d6cab"))


def page(report: PlanReport) -> str:
    """Returns a self-contained page."""
    shape = report.slice_shape
    hours = report.hours()
    figures = [
        ("of the slice", "fits" if report.fits else "does not fit"),
        ("chips", f"{shape.chips}"),
        ("parameters", f"{report.parameters / 1e9:.2f} B"),
    ]
    train = report.program("train")
    if train is not None and train.roofline is not None and hours is not None:
        line, bound = train.roofline, train.mfu_bound(shape)
        figures += [
            ("s a step, overlapped to serial", f"{line.overlapped_s:.3f} – {line.serial_s:.3f}"),
            ("MFU at most", f"{bound:.0%}" if bound is not None else "unknown"),
            (f"h for {report.total_steps:,} steps", f"{hours[0]:.1f} – {hours[1]:.1f}"),
            ("chip-hours", f"{hours[0] * shape.chips:,.0f} – {hours[1] * shape.chips:,.0f}"),
        ]
    mesh = " x ".join(f"{axis} {size}" for axis, size in report.mesh.items())
    below = f"{shape.name} ({shape.booked_as}), mesh {mesh}. Predicted from compiled programs."
    body = [page_lib.heading(f"Plan: {report.name}", below), page_lib.cards(figures)]
    for program in report.programs:
        body += _program(program)
    body += ["<h2>Settings</h2>", _pairs(report.settings)]
    chip = shape.chip
    body += [
        "<h2>Chip</h2>",
        page_lib.table(
            ["chip", "bf16 TFLOP/s", "usable GiB", "HBM TB/s", "GB/s a ring", "source"],
            [
                [
                    chip.name,
                    f"{chip.peak_bf16_flop_per_s / 1e12:.0f}",
                    f"{gib(chip.usable_hbm_bytes):.2f}",
                    f"{chip.hbm_bytes_per_s / 1e12:.2f}",
                    f"{chip.ici_bytes_per_s / 1e9:.0f}",
                    chip.source,
                ]
            ],
            numeric=(1, 2, 3, 4),
        ),
        "<details><summary>Where every array lies, and why</summary>"
        f"<pre>{html.escape(report.placement)}</pre></details>",
    ]
    return page_lib.document(f"Plan: {report.name}", body, css=_CSS)


def _program(program: ProgramReport) -> list[str]:
    memory = program.memory
    head = f"<h2>{html.escape(program.name)}</h2>"
    if memory.peak is None:
        return [head, f'<p class="over">Does not fit. {html.escape(memory.message)}</p>']
    whole = max(memory.usable, memory.peak)
    widths = [getattr(memory, kind) / whole for kind in _KINDS]
    margin = gib(memory.usable - memory.peak)
    state = f"{margin:.2f} GiB to spare" if memory.fits else f"{-margin:.2f} GiB too much"
    parts = [
        head,
        f"<p>Peak {gib(memory.peak):.2f} of {gib(memory.usable):.2f} GiB a device, {state}; "
        f"compiled in {program.compile_s:.0f} s.</p>",
        _bar(widths, _COLORS),
        _key([f"{k} {gib(getattr(memory, k)):.2f} GiB" for k in _KINDS], _COLORS),
    ]
    costs, line = program.costs, program.roofline
    assert costs is not None and line is not None, "a program that was compiled has both"
    seconds = (line.compute_s, line.hbm_s, line.ici_s, line.dcn_s)
    longest = max(seconds) or 1.0
    for (name, color), value in zip(_TERMS, seconds, strict=True):
        parts.append(
            f'<div class="line"><span>{name}</span>{_bar([value / longest], [color])}'
            f"<span>{value:.4f} s</span></div>"
        )
    parts.append(
        f'<p class="key">{costs.flops / 1e12:.2f} TFLOP, {costs.hbm_bytes / 1e9:.1f} GB of HBM '
        f"traffic a device and call; each bar is at peak rate, alone.</p>"
    )
    rows = [
        [
            one.kind,
            "+".join(one.axes),
            str(one.group_size),
            f"{one.calls:.0f}",
            f"{one.nbytes / 1e9:.3f}",
            f"{one.seconds:.5f}",
            "DCN" if one.over_dcn else "ICI",
            "/".join(one.op_name.split("/")[-4:]),
        ]
        for one in line.traffic
    ]
    header = ["collective", "axes", "devices", "calls", "GB", "s", "over", "most of it from"]
    if rows:
        parts.append(page_lib.table(header, rows, numeric=(2, 3, 4, 5)))
    return parts


def _bar(widths: Sequence[float], colors: Sequence[str]) -> str:
    inner = "".join(
        f'<i style="width:{100 * width:.2f}%;background:{color}"></i>'
        for width, color in zip(widths, colors, strict=True)
    )
    return f'<div class="bar">{inner}</div>'


def _key(labels: Sequence[str], colors: Sequence[str]) -> str:
    inner = "".join(
        f'<i style="background:{color}"></i>{html.escape(label)}'
        for label, color in zip(labels, colors, strict=True)
    )
    return f'<p class="key">{inner}</p>'


def _pairs(values: dict) -> str:
    return page_lib.table(
        ["setting", "value"], [[str(name), str(value)] for name, value in values.items()]
    )
