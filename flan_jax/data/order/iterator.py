"""The training stream over prepared data: what `live.TrainIterator` is over sources.

The batch of a step is arithmetic, so a position is the number of the step; the rest of a saved
state says which data it is of, and the counts so far. Grain reads ahead (google/grain 0.2).
"""

import dataclasses
import json
from typing import Any

import numpy as np

from flan_jax.data import counts as counts_lib
from flan_jax.data import snapshot
from flan_jax.data.config import DatasetConfig
from flan_jax.data.description import describe
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.mixture import ResolvedMixture, resolve
from flan_jax.data.mixture_stream import MixtureStream
from flan_jax.data.order.opening import content_hashes, open_plan, vocabularies_of
from flan_jax.data.order.plan import Plan
from flan_jax.data.order.reading import BatchReader
from flan_jax.data.order.settings import Settings
from flan_jax.errors import CheckpointError

# The order of rows, as this version of the code makes it.
_VERSION = 1
_ENDLESS = 1 << 40


class PreparedIterator(MixtureStream):
    """Host batches of a mixture's prepared examples; the same on any number of hosts.

    Yields dicts of int32 arrays of the global batch, as docs/architecture.md names them.
    """

    def __init__(
        self,
        cfg: DatasetConfig,
        *,
        mixture: ResolvedMixture | None = None,
        layout: RowLayout = ENCODER_DECODER,
        rows: tuple[int, int] | None = None,
        settings: Settings | None = None,
    ):
        """Opens the data and plans the rows; nothing is read yet.

        Args:
          cfg: what to read, with `prepared_dir`.
          mixture: the resolved mixture, when the caller already has it.
          layout: the model's `row_layout`.
          rows: first row and the one behind the last that this host's devices take (`local_rows`);
            the others of a batch stay empty. None reads all.
          settings: by default those of gin.

        Raises:
          NotFoundError, ConfigError, DataError: see `mixture.resolve` and `opening.open_plan`.
        """
        layout.check_lengths(cfg.task_feature_lengths, "DatasetConfig.task_feature_lengths")
        self._cfg, self._layout = cfg, layout
        self._mixture = resolve(cfg) if mixture is None else mixture
        if layout.decoder_only:
            self._mixture.check_one_vocabulary(cfg)
        self._settings = settings or Settings()
        vocabularies = vocabularies_of(self._mixture, cfg)
        rates = {share.name: share.rate for share in self._mixture.shares}
        self._tasks, self._plan = open_plan(cfg, rates, layout, vocabularies, self._settings)
        self._groups = tuple(describe(name, cfg.modules).group for name in self.task_names)
        self._read = BatchReader(self._plan, self._tasks, cfg, layout, rows)
        self._identity = self._identify()
        # Step and counts in one, as another thread may ask for the state meanwhile.
        counts_KxC = np.zeros((len(rates), len(counts_lib.COUNTS)), np.int64)
        self._position = 0, counts_KxC
        self._batches: Any = None

    @property
    def plan(self) -> Plan:
        """Which examples stand in which row of which step."""
        return self._plan

    @property
    def fingerprint(self) -> str:
        """All that decides the rows, as JSON; the same on every host, or rows are lost."""
        return json.dumps([self._identity, self._plan.summary()], sort_keys=True)

    @property
    def step(self) -> int:
        """Number of batches produced so far, over all runs of this stream."""
        return self._position[0]

    def __iter__(self) -> "PreparedIterator":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch.

        Raises:
          DataError: a shard cannot be read, or the stream has ended.
        """
        step, counts_KxC = self._position
        if self._batches is None:
            self._batches = self._open(step)
        try:
            batch = next(self._batches)
        except StopIteration:
            batch = self._read(step)  # Which says why there is none.
        self._position = step + 1, counts_KxC + self._counts_of(step)
        return batch

    def stats(self) -> dict[str, Any]:
        """Returns counts over all batches produced so far; see `counts.stats`."""
        step, counts_KxC = self._position
        return counts_lib.stats(
            counts_KxC, step, self._cfg, self._mixture, self.groups, self._layout
        )

    def state_at(self, step: int) -> bytes:
        """Returns the state after batch number `step` (0: before the first), for `restore`.

        Raises:
          ValueError: that batch has not been produced.
        """
        produced, counts_KxC = self._position
        if not 0 <= step <= produced:
            raise ValueError(f"state_at({step}): {produced} batches have been produced")
        for later in range(step, produced):
            counts_KxC = counts_KxC - self._counts_of(later)
        fields = {"version": f"order {_VERSION}", "step": step, "identity": self._identity}
        return json.dumps(fields | {"counts": counts_KxC.tolist()}).encode()

    def restore(self, state: bytes) -> None:
        """Continues where `state_at(step)` stood: the next batch is number `step` + 1.

        Raises:
          CheckpointError: the state is of other data, settings or rates, or damaged. The message
            names each difference.
        """
        try:
            fields = json.loads(state.partition(b"\n")[0])
            version = fields["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"The saved data position cannot be read ({type(error).__name__}: {error}). Resume "
                "from an earlier checkpoint."
            ) from error
        if version != f"order {_VERSION}":
            raise CheckpointError(
                f"The saved data position has format {version!r}, and prepared data have "
                f"'order {_VERSION}'. Resume as the run was begun: with or without "
                "DatasetConfig.prepared_dir, and with the version of flan-jax that saved it."
            )
        snapshot.check_identity(fields["identity"], self._identity)
        self.close()
        self._position = fields["step"], np.array(fields["counts"], np.int64)

    def close(self) -> None:
        """Stops reading ahead."""
        if self._batches is not None:
            batches, self._batches = self._batches, None
            batches.close()

    def _open(self, step: int) -> Any:
        import grain
        from absl import flags

        settings, end = self._settings, self._plan.end
        stop = _ENDLESS if end is None else end
        batches = grain.MapDataset.range(step, max(step, stop)).map(self._read)
        options = grain.ReadOptions(
            num_threads=settings.threads, prefetch_buffer_size=settings.prefetch
        )
        dataset = batches.to_iter_dataset(options)
        if settings.workers:
            # Grain's processes look flags up that nothing here parses.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            workers = grain.MultiprocessingOptions(
                num_workers=settings.workers, per_worker_buffer_size=settings.prefetch
            )
            dataset = dataset.mp_prefetch(workers)
        return iter(dataset)

    def _counts_of(self, step: int) -> np.ndarray:
        """Counts of the global batch, whichever rows are read here."""
        rows = self._plan.step_rows(step)
        examples = self._plan.examples
        size_Sx2 = examples.sizes_Xx2[rows.number_S]
        return counts_lib.counted(
            rows.task_S,
            size_Sx2[:, 0],
            size_Sx2[:, 1],
            examples.flags_X[rows.number_S],
            len(self._tasks),
        )

    def _identify(self) -> dict[str, Any]:
        """Everything that decides the rows, as JSON-able values by readable name."""
        fields = self._cfg.stream_fields()
        unused = ("use_cached", "in_memory", "packing_window", "shuffle")
        identity = {name: value for name, value in fields.items() if name not in unused}
        identity |= self._settings.order_fields()
        identity["rows"] = dataclasses.asdict(self._layout)
        hashes = content_hashes(self._tasks)
        for share, task, content in zip(self._mixture.shares, self._tasks, hashes, strict=True):
            identity[f"task {share.name}"] = {
                "rate": share.rate,
                "examples": task.num_examples,
                "content": content,
            }
        return identity


def local_rows(partitioner: Any, batch_size: int) -> tuple[int, int] | None:
    """Returns the first row of a batch, and the one behind the last, that this host's devices take.

    None where they take rows that are no such range, or all of them.

    Args:
      partitioner: `mesh.PjitPartitioner`.
      batch_size: rows of the global batch.
    """
    sharding = partitioner.batch_sharding(2)
    indices = sharding.addressable_devices_indices_map((batch_size, 1)).values()
    # Devices of one model replica take the same rows.
    spans = {index[0].indices(batch_size)[:2] for index in indices}
    first, stop = min(a for a, _ in spans), max(b for _, b in spans)
    covered = sum(b - a for a, b in spans)
    if covered != stop - first or (first, stop) == (0, batch_size):
        return None
    return first, stop
