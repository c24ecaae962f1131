"""The baseline of `accelerator_step`: T5 of Hugging Face transformers under torch.compile.

Float32 weights, bfloat16 autocast, fused AdamW, the attention that transformers chooses, and the
same number of rows and tokens as ours. Its rows hold one example each, since it has no packing:
this spares it the masks between examples. With a remat policy other than 'none' it checkpoints
every layer. AdamW reads and writes more than Adafactor does, in one kernel over all parameters.
"""

import time
from typing import Any

from benchmarks import accelerator_step as step


def measure(case: step.Case, steps: int, *, compiled: bool = True) -> dict[str, Any]:
    """Times a training step; returns what `accelerator_step.measure_prepared` does.

    `peak_gib` is the most that torch had allocated, and `compile_s` holds the first step as well.

    Args:
        case: what to measure; its `scan` means nothing here.
        steps: timed ones.
        compiled: under torch.compile, as opposed to eagerly.
    """
    import torch
    import transformers

    from flan_jax.models import sizes

    shape = sizes.t5_config(f"t5_1_1_{case.size}")
    fields: dict[str, Any] = {
        "vocab_size": shape.vocab_size,
        "d_model": shape.emb_dim,
        "d_kv": shape.head_dim,
        "d_ff": shape.mlp_dim,
        "num_layers": shape.num_encoder_layers,
        "num_decoder_layers": shape.num_decoder_layers,
        "num_heads": shape.num_heads,
        "dropout_rate": step.DROPOUT_RATE,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "use_cache": False,
        "decoder_start_token_id": 0,
    }
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with device:
        model: Any = transformers.T5ForConditionalGeneration(
            transformers.T5Config(**fields)
        ).train()
    if case.remat != "none":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    arrays = step.packed_batch(case, shape.vocab_size)
    inputs, labels = (
        torch.as_tensor(arrays[name], device=device, dtype=torch.long)
        for name in ("encoder_input_tokens", "decoder_target_tokens")
    )
    call = torch.compile(model) if compiled else model
    loss = torch.zeros(())

    def one_step() -> None:
        nonlocal loss
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = call(input_ids=inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    started = time.perf_counter()
    one_step()
    compile_s = time.perf_counter() - started
    step_s = step.median_s(one_step, steps)
    name, peak_bytes = device.type, 0
    if device.type == "cuda":
        name, peak_bytes = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()
    return {
        **step.figures(case, step_s, name),
        "compile_s": round(compile_s, 1),
        "peak_gib": round(peak_bytes / 2**30, 2),
        "loss": round(loss.item(), 4),
        "attention": str(model.config._attn_implementation),
    }
