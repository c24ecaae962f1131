"""`flan-jax export`: a checkpoint of ours in the form that others read."""

import argparse
import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from flan_jax import checkpoint, checkpoint_arrays, evaluate, gin_trust
from flan_jax.errors import CheckpointError, NotFoundError, suggest
from flan_jax.interop import detect, importing, model_gin, stacks, storage
from flan_jax.interop.names import Bound
from flan_jax.interop.source import Index, Source, Stored
from flan_jax.mesh import PjitPartitioner
from flan_jax.models import lora

Say = Callable[[str], None]

# Value of --format -> module and its function of a Request.
FORMATS = {
    "hf": ("flan_jax.interop.export_hf", "export"),
    "t5x": ("flan_jax.interop.export_t5x", "export"),
    "jax": ("flan_jax.interop.serving", "export"),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What to export and where to.

    Attributes:
      directory: of the checkpoint.
      step: of the checkpoint.
      model: its model, without adapters: they are merged.
      params: parameter tree on the mesh.
      partitioner: the mesh.
      output: a folder that does not exist or is empty.
      dtype: of the parameters to write; None: of the imported weights, else float32.
      tokenizer: folder with the tokenizer's files, or None.
      compare_logits: whether to compare logits before the output takes its name.
      record: what `flan-jax import` kept; empty if the model was not imported.
      args: all flags of the command.
      say: receives sentences.
    """

    directory: epath.Path
    step: int
    model: Any
    params: Any
    partitioner: PjitPartitioner
    output: epath.Path
    dtype: str | None
    tokenizer: str | None
    compare_logits: bool
    record: Mapping[str, Any]
    args: argparse.Namespace
    say: Say

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name in the model's layout -> shape."""
        flat = checkpoint_arrays.flat(self.params)
        return {name: tuple(leaf.shape) for name, leaf in flat.items()}

    def bound(self) -> Bound:
        """The parameters under our names of the unscanned layout."""
        axis = getattr(self.model.config, "param_scan_axis", 1)
        source = MeshSource(checkpoint_arrays.flat(self.params), str(self.directory))
        return stacks.bind_same(source, stacks.unscanned(self.shapes, axis), axis)


class MeshSource(Source):
    """Arrays on a mesh, brought to the host one at a time."""

    def __init__(self, arrays: Mapping[str, jax.Array], where: str):
        """See `Source`."""
        self.where = where
        self._arrays = dict(arrays)
        self.arrays = {
            name: Stored(tuple(array.shape), np.dtype(array.dtype))
            for name, array in self._arrays.items()
        }

    def read(self, name: str) -> np.ndarray:
        """See `Source`."""
        return np.asarray(self._arrays[name])

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """See `Source`."""
        out[...] = self.read(name)[index]


def command(args: argparse.Namespace) -> None:
    """`flan-jax export`."""
    if args.format not in FORMATS:
        raise NotFoundError(
            f"--format is {args.format!r}; it is one of {', '.join(FORMATS)}."
            f"{suggest(args.format, FORMATS)}"
        )
    if args.dtype is not None:
        importing.check_dtype(args.dtype)
    output = storage.check_new(evaluate.absolute(args.output), "--output")
    path = evaluate.absolute(args.checkpoint)
    found = detect.foreign(path)
    if found is not None:
        raise CheckpointError(
            f"{path} is a checkpoint of {found.kind}; export takes one of ours. Import it first: "
            f"flan-jax import {args.checkpoint} --model_dir=DIR"
        )
    module, function = FORMATS[args.format]
    exporter = importlib.import_module(module)
    export = getattr(exporter, function)
    model = model_gin.parse_model(
        path,
        args.gin_file,
        args.gin_bindings,
        args.gin_search_paths,
        consulted=getattr(exporter, "CONSULTED", ()),
        trust=gin_trust.of_flags(args),
    )
    partitioner = PjitPartitioner(fsdp=jax.device_count())
    cfg = checkpoint.RestoreCheckpointConfig(path)
    params, step, directory = evaluate.restore(model, partitioner, cfg)
    if model.config.lora is not None:
        model, params = lora.merge_model(model, params)
        print("adapters are merged into their kernels")
    export(
        Request(
            directory=directory,
            step=step,
            model=model,
            params=params,
            partitioner=partitioner,
            output=output,
            dtype=args.dtype,
            tokenizer=args.tokenizer,
            compare_logits=not args.no_comparison,
            record=importing.read_record(directory.parent),
            args=args,
            say=print,
        )
    )
