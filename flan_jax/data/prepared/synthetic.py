"""Prepared data of given lengths, for tests of what reads them: this package's and yours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flan_jax.data.prepared import layout, shards
from flan_jax.data.prepared.assembly import write_manifest
from flan_jax.data.prepared.manifest import Manifest, PreparedFeature, TaskEntry


def write_synthetic(
    folder: Any,
    lengths: Mapping[str, Sequence[Sequence[int]]],
    *,
    features: Mapping[str, int] | None = None,
    rates: Mapping[str, float] | None = None,
    vocabulary_size: int = 32128,
    shard_examples: int = 1000,
    seed: int = 0,
) -> Manifest:
    """Writes a prepared data set of random tokens that end with the id 1.

    Args:
      folder: new or empty.
      lengths: task name -> of each example the number of tokens of each feature (NxF).
      features: name -> most tokens; by default 'inputs' and 'targets' of 1024 and 256.
      rates: task name -> rate; by default a task's number of examples.
      vocabulary_size: ids are from 2 to below this.
      shard_examples: most examples of a shard.
      seed: of the tokens.
    """
    most = dict(features or {"inputs": 1024, "targets": 256})
    entries = []
    for name in sorted(lengths):
        lengths_NxF = np.asarray(lengths[name], np.int64).reshape(-1, len(most))
        generator = np.random.default_rng([seed, *name.encode()])
        made = []
        for number, start in enumerate(range(0, len(lengths_NxF), shard_examples)):
            writer = shards.ShardWriter(folder, layout.shard_stem(name, "train", number), [*most])
            for row in range(start, min(start + shard_examples, len(lengths_NxF))):
                tokens = {
                    feature: np.append(generator.integers(2, vocabulary_size, max(0, count - 1)), 1)
                    for feature, count in zip(most, lengths_NxF[row].tolist(), strict=True)
                }
                tokens = {f: t[: lengths_NxF[row, i]] for i, (f, t) in enumerate(tokens.items())}
                row_hash = generator.bytes(8).hex()
                originals = lengths_NxF[row].tolist()
                writer.add(
                    tokens,
                    {"row_hash": row_hash},
                    row=row,
                    rendering=0,
                    flags=0,
                    originals=originals,
                )
            made.append(writer.finish({"examples": writer.count}))
        rate = float(len(lengths_NxF) if rates is None else rates[name])
        entries.append(TaskEntry(name, rate, "", len(lengths_NxF), {}, (), tuple(made)))
    identity = {
        "kind": "synthetic",
        "size": vocabulary_size,
        "eos_id": 1,
        "pad_id": 0,
        "sha256": None,
    }
    return write_manifest(
        folder,
        entries,
        name="synthetic",
        split="train",
        seed=seed,
        renderings=1,
        features={name: PreparedFeature(length, identity, True) for name, length in most.items()},
        versions={},
    )
