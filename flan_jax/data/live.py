"""The training stream: examples of all tasks, drawn by rate, packed into batches, resumable.

The stream is a function of the configuration and its seed. Every host runs the same one; the loader
lets each device take its own rows, so the number of devices changes nothing.

**Resume.** Every `snapshot_period` batches the positions of the tasks, the waiting examples and the
counts are copied to memory. `state_at(step)` is the last copy at or before `step` plus the number
of batches to replay from there. Where rows are had by number, a position is a number. Elsewhere it
is that of a TensorFlow iterator, as large as the task's shuffle buffer, in tokens. A source in
Python (`tf.data.Dataset.from_generator`) has no position TensorFlow can write; such a task alone is
read again from its start, which takes the time that reading it took.
"""

import threading
from typing import Any

import numpy as np

from flan_jax.data import counts as counts_lib
from flan_jax.data import snapshot
from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.data.description import describe
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.mixture import ResolvedMixture, Sampler, resolve
from flan_jax.data.mixture_stream import MixtureStream
from flan_jax.data.packing import Example, Packer, Row, assemble

_KEPT_SNAPSHOTS = 3
# Streams told ahead that they are next: enough for the threads that read, and no more, since what
# was asked for is still read when the process ends.
_PREPARED = 8


class TrainIterator(MixtureStream):
    """Endless host batches of a task or mixture.

    Yields dicts of int32 arrays, the global batch, as docs/architecture.md names them; packed ones
    when `cfg.pack` is set. One row holds one example otherwise.
    """

    def __init__(
        self,
        cfg: DatasetConfig,
        *,
        mixture: ResolvedMixture | None = None,
        layout: RowLayout = ENCODER_DECODER,
    ):
        """Resolves the tasks; their pipelines are built when each is first drawn.

        Args:
          cfg: what to read.
          mixture: the resolved mixture, when the caller already has it.
          layout: the model's `row_layout`.

        Raises:
          NotFoundError, ConfigError, DataError: see `mixture.resolve`; the layout needs other
            lengths, or one vocabulary where the tasks have two.
        """
        layout.check_lengths(cfg.task_feature_lengths, "DatasetConfig.task_feature_lengths")
        self._cfg, self._layout = cfg, layout
        self._mixture = resolve(cfg) if mixture is None else mixture
        if layout.decoder_only:
            self._mixture.check_one_vocabulary(cfg)
        self._lock = threading.Lock()
        self._identity = snapshot.identity_of(cfg, self._mixture, layout)
        self._groups = tuple(describe(name, cfg.modules).group for name in self.task_names)
        self._reset()

    def _reset(self) -> None:
        from flan_jax.data import stream

        cfg, shares = self._cfg, self._mixture.shares
        kind = stream.MemoryStream if cfg.in_memory else stream.TaskStream
        self._streams = [kind(share.task, i, cfg) for i, share in enumerate(shares)]
        self._sampler = Sampler(
            [share.share for share in shares], derive_seed(cfg.seed or 0, "mixture")
        )
        self._packer = Packer(cfg.input_length, cfg.target_length, cfg.packing_window, self._layout)
        self._counts_KxC = np.zeros((len(shares), len(counts_lib.COUNTS)), np.int64)
        self._step = 0
        # (step, content) of the newest ones, oldest first.
        self._snapshots: list[tuple[int, bytes]] = []

    @property
    def step(self) -> int:
        """Number of batches produced so far, over all runs of this stream."""
        return self._step

    def __iter__(self) -> "TrainIterator":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch.

        Raises:
          DataError: a source failed or is empty; the task is named.
        """
        cfg = self._cfg
        if cfg.pack:
            rows = [self._packed_row() for _ in range(cfg.batch_size)]
        else:
            rows = [[example] for example in self._draw(cfg.batch_size)]
        self._count(rows)
        batch = assemble(
            rows, cfg.batch_size, cfg.input_length, cfg.target_length, cfg.pack, self._layout
        )
        self._step += 1
        if self._step % cfg.snapshot_period == 0:
            taken = (self._step, self._encode())
            with self._lock:
                self._snapshots = [*self._snapshots, taken][-_KEPT_SNAPSHOTS:]
        return batch

    def _packed_row(self) -> Row:
        for example in self._draw(self._packer.missing):
            self._packer.add(example)
        return self._packer.take_row()

    def _draw(self, count: int) -> list[Example]:
        streams = [self._streams[self._sampler.draw()] for _ in range(count)]
        examples = []
        for stream in streams[:_PREPARED]:
            stream.prepare()
        for i, stream in enumerate(streams):
            if i + _PREPARED < count:
                streams[i + _PREPARED].prepare()
            examples.append(stream.next())
        return examples

    def _count(self, rows: list[Row]) -> None:
        examples = [example for row in rows for example in row]
        self._counts_KxC += counts_lib.counted(
            np.array([example.task_id for example in examples]),
            np.array([len(example.inputs) for example in examples]),
            np.array([len(example.targets) for example in examples]),
            np.array([example.flags for example in examples]),
            len(self._counts_KxC),
        )

    def stats(self) -> dict[str, Any]:
        """Returns counts over all batches produced so far; see `counts.stats`."""
        return counts_lib.stats(
            self._counts_KxC, self._step, self._cfg, self._mixture, self.groups, self._layout
        )

    def state_at(self, step: int) -> bytes:
        """Returns the state after batch number `step` (0: before the first), for `restore`.

        Args:
          step: at most the number of batches produced. A step before the kept snapshots is
            answered too, at the cost of a replay from the start.

        Raises:
          ValueError: that batch has not been produced.
        """
        if not 0 <= step <= self._step:
            raise ValueError(f"state_at({step}): {self._step} batches have been produced")
        with self._lock:
            usable = [taken for taken in self._snapshots if taken[0] <= step]
        taken_at, content = usable[-1] if usable else (0, b"")
        return snapshot.join(snapshot.Header(self._identity, step, taken_at), content)

    def restore(self, state: bytes) -> None:
        """Continues where `state_at(step)` stood: the next batch is number `step` + 1.

        Raises:
          CheckpointError: the state is of another configuration, task list or library version, or
            damaged. The message names each difference.
        """
        header, content = snapshot.split(state)
        snapshot.check_identity(header.identity, self._identity)
        self._reset()
        if header.snapshot_step:
            self._decode(content)
            self._step = header.snapshot_step
            self._snapshots = [(header.snapshot_step, content)]
        for _ in range(header.step - header.snapshot_step):
            next(self)

    def _encode(self) -> bytes:
        from flan_jax.data.stream import save_streams

        pending = [example for stream in self._streams for example in stream.pending()]
        files, saved = save_streams(self._streams)
        return snapshot.to_bytes(
            {
                "sampler": np.array(self._sampler.position),
                "counts": self._counts_KxC,
                "positions": np.array([stream.position for stream in self._streams]),
                "saved": np.array(saved, np.int64),
                **{f"file/{name}": np.frombuffer(data, np.uint8) for name, data in files.items()},
                **snapshot.examples_to_arrays("waiting", self._packer.waiting()),
                **snapshot.examples_to_arrays("pending", pending),
            }
        )

    def _decode(self, content: bytes) -> None:
        from flan_jax.data.stream import load_streams

        arrays = snapshot.from_bytes(content)
        self._sampler.position = int(arrays["sampler"])
        self._counts_KxC = arrays["counts"]
        for example in snapshot.examples_from_arrays("waiting", arrays):
            self._packer.add(example)
        prefix = "file/"
        files = {
            name.removeprefix(prefix): array.tobytes()
            for name, array in arrays.items()
            if name.startswith(prefix)
        }
        load_streams(
            self._streams,
            files,
            arrays["saved"].tolist(),
            arrays["positions"].tolist(),
            snapshot.examples_from_arrays("pending", arrays),
        )
