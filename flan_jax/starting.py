"""Where a run starts: its own newest checkpoint, a checkpoint of another run, or scratch."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from flan_jax import checkpoint as checkpoint_lib
from flan_jax import checkpoint_files, checkpoint_params, prompt_init, sharding, trainable
from flan_jax import state as state_lib
from flan_jax import step as step_lib
from flan_jax.adafactor import ScheduledTransformation
from flan_jax.axes import PyTree
from flan_jax.data import tokenizer_files
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import ConfigError
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel


@dataclasses.dataclass(frozen=True)
class Start:
    """What a run starts with.

    Attributes:
      state: the train state, which holds the trained parameters.
      frozen: the other parameters; `{}` where all are trained.
      step: steps done before.
      base: the checkpoint that the frozen parameters come from; None where there are none.
      data_state: position of the data stream; None for its beginning.
      elapsed_s: seconds of training before.
    """

    state: state_lib.TrainState
    frozen: PyTree
    step: int = 0
    base: checkpoint_lib.Base | None = None
    data_state: bytes | None = None
    elapsed_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """The arrays of a run before any is made.

    Attributes:
      model: the model.
      selection: which parameters are trained.
      tx: the optimizer, for these.
      abstract: the train state as ShapeDtypeStructs.
      axes: its logical axes.
      shardings: its shardings.
      abstract_frozen: the frozen parameters.
      frozen_axes: theirs.
      frozen_shardings: theirs.
      compiler_options: XLA's, for the training step.
    """

    model: BaseModel
    selection: trainable.Selection
    tx: ScheduledTransformation
    abstract: state_lib.TrainState
    axes: state_lib.TrainState
    shardings: Any
    abstract_frozen: PyTree
    frozen_axes: PyTree
    frozen_shardings: PyTree
    compiler_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def trained_share(self) -> float:
        """Trained parameters as a share of all, in (0, 1]."""
        return self.selection.share(trainable.merge(self.abstract.params, self.abstract_frozen))

    def report(self, partitioner: PjitPartitioner, long: bool = False) -> str:
        """Where the parameters lie, trained and frozen, and how many there are.

        Args:
          partitioner: the mesh.
          long: every array for itself, and the optimizer's arrays too.
        """
        abstract = trainable.merge(self.abstract.params, self.abstract_frozen)
        axes = trainable.merge(self.axes.params, self.frozen_axes)
        text = self.selection.describe(abstract)
        if long:
            state = partitioner.coverage_report(self.abstract, self.axes)
            frozen = partitioner.coverage_report(self.abstract_frozen, self.frozen_axes)
            reports = [state] if self.selection.complete else [state, frozen]
        else:
            reports = [partitioner.coverage_report(abstract, axes)]
        return "\n".join([*(sharding.format_report(each, long) for each in reports), text])


def make_plan(
    model: BaseModel,
    selection: trainable.Selection,
    learning_rate_fn: Callable[..., Any],
    partitioner: PjitPartitioner,
) -> Plan:
    """Lays out the arrays of a run; errors as from the optimizer and the partitioner."""
    optimizer_def = model.optimizer_def
    assert optimizer_def is not None, "the run checks it first"
    logical_axes, params = model.logical_axes(), model.abstract_params()
    trained_axes = selection.trained(logical_axes)
    tx = optimizer_def.make(learning_rate_fn, trained_axes)
    abstract = state_lib.abstract_state(model, tx, selection.trained)
    axes = state_lib.state_logical_axes(abstract, trained_axes, optimizer_def)
    frozen, frozen_axes = selection.frozen(params), selection.frozen(logical_axes)
    return Plan(
        model=model,
        selection=selection,
        tx=tx,
        abstract=abstract,
        axes=axes,
        shardings=partitioner.shardings(abstract, axes),
        abstract_frozen=frozen,
        frozen_axes=frozen_axes,
        frozen_shardings=partitioner.shardings(frozen, frozen_axes),
        compiler_options=partitioner.compiler_options,
    )


def jit_train_step(
    plan: Plan,
    batch_shardings: Mapping[str, Any],
    num_microbatches: int = 1,
    num_tasks: int = 1,
    seed: int = 0,
) -> Any:
    """The jitted `step(state, batch, frozen) -> (state, metrics)` of a run; the state is donated.

    Trace or lower it inside `partitioner.activate()`.

    Args:
      plan: the arrays of the run.
      batch_shardings: feature -> sharding.
      num_microbatches: see `step.make_train_step`.
      num_tasks: likewise.
      seed: likewise.
    """
    step = step_lib.make_train_step(
        plan.model,
        plan.tx,
        num_microbatches,
        num_tasks,
        seed,
        grad_shardings=plan.shardings.params,
    )
    return jax.jit(
        step,
        in_shardings=(plan.shardings, dict(batch_shardings), plan.frozen_shardings),
        out_shardings=(plan.shardings, None),
        donate_argnums=0,
        compiler_options=dict(plan.compiler_options),
    )


def choose(
    model: BaseModel,
    patterns: str | Sequence[str] | None,
    cfg: checkpoint_lib.CheckpointConfig,
    init: prompt_init.PromptInit | None,
    datasets: Mapping[str, DatasetConfig | None],
) -> trainable.Selection:
    """Chooses what is trained, and checks what that and a soft prompt need of the configuration.

    Args:
      model: the model.
      patterns: see `trainable.select`.
      cfg: where the run starts from.
      init: the initial prompt.
      datasets: what the model is called on, by the name of its argument.

    Raises:
      ConfigError: as from `trainable.select`; a prompt with packed rows, an initial prompt without
        a prompt or for a frozen one, or frozen parameters that come from nowhere.
    """
    selection = trainable.select(model.abstract_params(), patterns)
    length = model.config.prompt_length
    if init is not None and not length:
        raise ConfigError(
            "train_script.train.prompt_init is given, but the model has no soft prompt: set "
            f"network.{type(model.config).__name__}.prompt_length, such as 100."
        )
    for name, dataset in datasets.items():
        if length and dataset is not None and dataset.pack and not model.packs_with_prompt:
            raise ConfigError(
                f"train_script.train.{name} packs several examples in a row, and the model's soft "
                f"prompt (prompt_length = {length}) stands in front of single ones. Set "
                "utils.DatasetConfig.pack = False in its scope."
            )
    parameter = prompt_init.parameter(model)
    if init is not None and parameter not in selection.names:
        raise ConfigError(
            "train_script.train.prompt_init is given, but train_script.train.trainable freezes the "
            f"prompt: add a pattern that matches {parameter}, such as '/prompt/'."
        )
    if not selection.complete and (cfg.restore is None or cfg.restore.path is None):
        raise ConfigError(
            "train_script.train.trainable leaves parameters frozen, but the run starts from "
            "scratch, so these would stay random. Set INITIAL_CHECKPOINT_PATH "
            "(utils.RestoreCheckpointConfig.path) to a trained model."
        )
    return selection


def begin(
    plan: Plan,
    partitioner: PjitPartitioner,
    saver: checkpoint_lib.Checkpointer,
    cfg: checkpoint_lib.CheckpointConfig,
    seed: int,
    init: prompt_init.PromptInit | None,
    vocabulary: Any,
    say: Callable[[str], None],
) -> Start:
    """Makes or reads the arrays of a run.

    In this order: the newest whole checkpoint of MODEL_DIR, the initial checkpoint, scratch.

    Args:
      plan: the arrays.
      partitioner: the mesh.
      saver: of MODEL_DIR.
      cfg: where else to start from.
      seed: of initial parameters.
      init: the initial soft prompt. None: that of the initial checkpoint, else uniform.
      vocabulary: seqio vocabulary of the inputs.
      say: receives sentences.

    Raises:
      CheckpointError, ConfigError, DataError: a checkpoint or an initial prompt cannot be read.
    """
    resume_step = saver.latest_valid_step()
    if resume_step is not None:
        return _resume(plan, saver, cfg, resume_step, say)
    with partitioner.activate():
        state = state_lib.init_state(
            plan.model, plan.tx, seed, plan.shardings, plan.selection.trained
        )
    initial = cfg.restore
    found = initial.find(say) if initial is not None else None
    frozen: PyTree = {}
    base = None
    if initial is not None and found is not None:
        if initial.grow_vocabulary is not None and not plan.selection.complete:
            raise ConfigError(
                "utils.RestoreCheckpointConfig.grow_vocabulary adds rows to embeddings, and "
                "train_script.train.trainable freezes parameters, which stay as they are in "
                f"{found}. Make the larger checkpoint first: flan-jax import {found} "
                "--grow_vocabulary=mean --gin_file=MODEL --model_dir=DIR"
            )
        if initial.strict and initial.grow_vocabulary is None:
            recorded = checkpoint_params.read_vocabulary(found)
            tokenizer_files.check_recorded(recorded, vocabulary, str(found))
        params = checkpoint_lib.restore_params(
            found,
            trainable.merge(plan.abstract.params, plan.abstract_frozen),
            trainable.merge(plan.shardings.params, plan.frozen_shardings),
            strict=initial.strict,
            initial=state.params,
            # A part that is trained may be new; what is frozen must come from somewhere.
            optional=() if plan.selection.complete else plan.selection.names,
            base_path=initial.base_path,
            grow_vocabulary=initial.grow_vocabulary,
            config=plan.model.config,
            say=say,
        )
        state = dataclasses.replace(state, params=plan.selection.trained(params))
        frozen = plan.selection.frozen(params)
        base = None if plan.selection.complete else checkpoint_params.make_base(found)
        say(f"parameters from {initial.path}; optimizer and step start anew")
    else:
        say("starting from scratch")
    if init is not None:
        state = _with_prompt(state, frozen, plan, seed, init, vocabulary, say)
    return Start(state, frozen, base=base)


def _resume(
    plan: Plan,
    saver: checkpoint_lib.Checkpointer,
    cfg: checkpoint_lib.CheckpointConfig,
    step: int,
    say: Callable[[str], None],
) -> Start:
    restored = saver.restore(plan.abstract, plan.shardings, step)
    frozen: PyTree = {}
    if restored.base is not None:
        frozen = checkpoint_params.restore_frozen(
            checkpoint_files.step_dir(saver.model_dir, step),
            restored.base,
            plan.abstract_frozen,
            plan.frozen_shardings,
            base_path=cfg.restore.base_path if cfg.restore is not None else None,
            config=plan.model.config,
            say=say,
        )
        say(f"frozen parameters from {restored.base.path}")
    say(f"resumed from {saver.model_dir} at step {restored.step}")
    return Start(
        state=restored.state,
        frozen=frozen,
        step=restored.step,
        base=restored.base,
        data_state=restored.data_state,
        elapsed_s=restored.extra["elapsed_s"],
    )


def _with_prompt(
    state: state_lib.TrainState,
    frozen: PyTree,
    plan: Plan,
    seed: int,
    init: prompt_init.PromptInit,
    vocabulary: Any,
    say: Callable[[str], None],
) -> state_lib.TrainState:
    """The state with the initial prompt in place."""
    table = trainable.merge(state.params, frozen)
    if plan.model.row_layout.decoder_only:
        table = table["decoder"]
    source = prompt_init.Source(
        # Apart from the keys of other initial parameters, which are drawn from `key(seed)`.
        key=jax.random.fold_in(jax.random.key(seed), 1),
        length=plan.model.config.prompt_length,
        embedding_VxD=table["token_embedder"]["embedding"],
        vocabulary=vocabulary,
        vocabulary_size=vocabulary.vocab_size,
        say=say,
    )
    *parents, last = prompt_init.parameter(plan.model).split("/")
    sharding, params = plan.shardings.params, jax.tree.map(lambda x: x, state.params)
    node = params
    for parent in parents:
        sharding, node = sharding[parent], node[parent]
    node[last] = prompt_init.initial_prompt(init, source, sharding[last])
    say(f"the prompt starts from {init}")
    return dataclasses.replace(state, params=params)
