"""The training run, top to bottom in the order in which things happen.

configuration -> mesh -> data -> abstract state and shardings -> compile, in a thread -> restore ->
loop -> close

The host never waits for a device except where it must: the metrics of step n are read after step
n + 1 has been queued. `runtime.Runtime` sets how a run is carried out: compile cache, profile.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin
import jax

from flan_jax import (
    batch_origin,
    compiling,
    gin_utils,
    goodput,
    last_words,
    nan_report,
    preemption,
    profiling,
    skipping,
    starting,
    step_log,
    telemetry,
    warm_start,
)
from flan_jax import checkpoint as checkpoint_lib
from flan_jax import runtime as runtime_lib
from flan_jax import trainable as trainable_lib
from flan_jax.data import config as data_config
from flan_jax.data import loader as data_loader
from flan_jax.data import tokenizer_files
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError, NanError, PreemptedError
from flan_jax.evaluations import Evaluations
from flan_jax.mesh import PjitPartitioner
from flan_jax.model_dir import check_writable
from flan_jax.models.base import BaseModel
from flan_jax.prompt_init import PromptInit


@gin.configurable(module="trainer")
@dataclasses.dataclass(frozen=True)
class Trainer:
    """How one update is computed.

    Attributes:
      num_microbatches: the batch is taken in this many parts, one after the other; the result is
        that of the whole batch.
      learning_rate_fn: step -> learning rate.
    """

    learning_rate_fn: Callable[..., Any]
    num_microbatches: int | None = None


@dataclasses.dataclass
class TrainResult:
    """What a finished run hands back.

    Attributes:
      step: the last step done.
      loss: cross-entropy and z-loss of the last step, in nats per target token.
      evals: task -> metrics of the last evaluation, with `train_eval` losses under `loss`.
      first_evals: the same of the evaluation before training, empty unless it ran.
      train_s: seconds of training, without evaluation, saving and compiling.
    """

    step: int
    loss: float
    evals: dict[str, dict[str, Any]]
    first_evals: dict[str, dict[str, Any]]
    train_s: float


@gin.configurable(module="train_script")
def train(
    model: BaseModel = gin.REQUIRED,
    model_dir: str = gin.REQUIRED,
    train_dataset_cfg: data_config.DatasetConfig = gin.REQUIRED,
    train_eval_dataset_cfg: data_config.DatasetConfig | None = None,
    infer_eval_dataset_cfg: data_config.DatasetConfig | None = None,
    checkpoint_cfg: checkpoint_lib.CheckpointConfig = gin.REQUIRED,
    partitioner: PjitPartitioner = gin.REQUIRED,
    trainer: Trainer = gin.REQUIRED,
    total_steps: int = gin.REQUIRED,
    eval_steps: int | None = None,
    eval_period: int | None = None,
    infer_eval_num_examples: int | None = None,
    decode_config: DecodeConfig | None = None,
    run_eval_before_training: bool = False,
    stats_period: int = 10,
    random_seed: int = 0,
    tensorboard: bool = True,
    allow_config_change: bool = False,
    trainable: str | Sequence[str] | None = None,
    prompt_init: PromptInit | None = None,
    skip_steps: Sequence[Sequence[int]] | None = None,
) -> TrainResult:
    """Trains `model` for `total_steps` steps, resuming where MODEL_DIR left off.

    Args:
      model: network and loss.
      model_dir: MODEL_DIR; its layout is in docs/architecture.md.
      train_dataset_cfg: what to train on.
      train_eval_dataset_cfg: teacher-forced loss per task on this, every `eval_period` steps.
      infer_eval_dataset_cfg: decoding and each task's `metric_fns` on this, likewise.
      checkpoint_cfg: when to save, what to keep, where to start from.
      partitioner: the mesh and its rules.
      trainer: microbatches and learning rate.
      total_steps: steps of the whole run, those of a resumed part included.
      eval_steps: batches per task of the teacher-forced evaluation; None takes the whole split.
      eval_period: steps between evaluations; None evaluates only after the last step.
      infer_eval_num_examples: rows per task of the decoding evaluation; None takes the whole split.
      decode_config: how predictions are decoded; greedy by default.
      run_eval_before_training: evaluates at step 0 too.
      stats_period: steps between status lines; losses in them are those of all target tokens since
        the line before.
      random_seed: of the initial parameters and of dropout.
      tensorboard: also write TensorBoard files.
      allow_config_change: resume although the stored configuration differs.
      trainable: regular expressions searched in parameter names ('/prompt/'); what none of them
        matches is frozen: no gradient, no optimizer state, not in the run's checkpoints, which
        refer to the initial checkpoint instead. None trains everything.
      prompt_init: first value of the soft prompt, one of gin's prompts.*, on a fresh start. None
        takes that of the initial checkpoint if it has one, else a uniform draw.
      skip_steps: [(first, last), ...] steps whose batches are read and make no update; the run goes
        back to a checkpoint from before them. See `skipping`.

    Raises:
      ConfigError, TopologyError, DataError, CheckpointError: before any step is run.
      DataError: after the last step, too, where a task could not be evaluated.
      NanError: the loss or the gradient stopped being finite.
      PreemptedError: told to stop; the state was saved.
    """
    # ------------------------------------------------------------ configuration
    runtime = runtime_lib.Runtime()
    printer = telemetry.StatusPrinter(quiet=jax.process_index() != 0)
    say = printer.line
    num_microbatches = trainer.num_microbatches or 1
    partitioner.check_batch_size(train_dataset_cfg.batch_size, num_microbatches)
    if model.optimizer_def is None:
        raise ConfigError(f"models.{type(model).__name__}.optimizer_def is None; give one.")
    datasets = {
        "train_dataset_cfg": train_dataset_cfg,
        "train_eval_dataset_cfg": train_eval_dataset_cfg,
    }
    for name, cfg in {**datasets, "infer_eval_dataset_cfg": infer_eval_dataset_cfg}.items():
        if cfg is not None:
            where = f"train_script.train.{name}.task_feature_lengths"
            model.row_layout.check_lengths(cfg.task_feature_lengths, where)
    selection = starting.choose(model, trainable, checkpoint_cfg, prompt_init, datasets)
    skips = skipping.parse(skip_steps, total_steps)
    check_writable(model_dir)
    words = last_words.begin(model_dir, jax.process_index(), jax.process_count())
    config_text = gin_utils.effective_config_str()
    for line in gin_utils.check_resume(model_dir, config_text, allow_config_change):
        say(f"configuration changed: {line}")
    say(config_text.rstrip())
    say(telemetry.environment())
    if previous := words.describe_previous():
        say(previous)
    cache = compiling.use_cache(runtime.compile_cache, model_dir)
    good = goodput.Goodput(None if jax.process_index() or runtime.compile_only else model_dir)
    compiles = compiling.CompileLog(on_main=lambda seconds: good.move_to("compile", seconds))

    # --------------------------------------------------------------------- data
    from flan_jax.data import train_stream  # They import seqio and TensorFlow when used.
    from flan_jax.eval import runner

    train_iter = train_stream.open_stream(train_dataset_cfg, model.row_layout, partitioner)
    evaluations = Evaluations(
        model,
        partitioner,
        model_dir,
        train_eval_dataset_cfg,
        infer_eval_dataset_cfg,
        decode_config or DecodeConfig(),
        eval_steps,
        infer_eval_num_examples,
        say,
    )
    task_names = train_iter.task_names
    say(f"training on {len(task_names)} tasks: {telemetry.format_names(task_names, most=8)}")
    model.check_vocabulary(train_iter.vocabulary_size)
    features = train_iter.mixture.output_features
    for name in train_dataset_cfg.token_features:
        tokenizer_files.check_ids(
            features[name].vocabulary, model.config.vocab_size, name, features[name].add_eos
        )

    # -------------------------------------------- abstract state and shardings
    plan = starting.make_plan(model, selection, trainer.learning_rate_fn, partitioner)
    say(plan.report(partitioner))

    # ------------------------------------------------------ compile, in a thread
    step_ahead = compiling.Ahead(
        lambda: warm_start.compile_train_step(
            plan, partitioner, train_dataset_cfg, num_microbatches, len(task_names), random_seed
        )
    )
    if runtime.compile_only:
        warm_start.compile_all(step_ahead, evaluations.programs(plan), cache, compiles, say)
        return TrainResult(0, float("nan"), {}, {}, 0.0)

    # ------------------------------------------------------------------ restore
    # 1. the newest valid checkpoint of MODEL_DIR  2. INITIAL_CHECKPOINT_PATH  3. scratch.
    saver = checkpoint_lib.Checkpointer(model_dir, checkpoint_cfg.save, say)
    vocabulary = features[train_dataset_cfg.token_features[0]].vocabulary
    # Once, not at each save: it reads the whole vocabulary, which may lie far away.
    vocabulary_identity = tokenizer_files.identity(vocabulary)
    saver.go_back(skips.fit, skipping.explain_no_fit(skips))

    def begin() -> starting.Start:
        return starting.begin(
            plan, partitioner, saver, checkpoint_cfg, random_seed, prompt_init, vocabulary, say
        )

    start = begin()
    state, frozen, start_step, base = start.state, start.frozen, start.step, start.base
    if start.data_state is not None:
        train_iter.restore(start.data_state)
    clock = telemetry.Chronometer(start.elapsed_s)
    writer = None
    good.resumed(start_step)
    del start  # The first state is given to the first step.

    if jax.process_index() == 0:
        placed = plan.report(partitioner, long=True)
        for name, text in (("config.gin", config_text), ("model-info.txt", placed)):
            pathlib.Path(model_dir, name).write_text(text, encoding="utf-8")
        writer = telemetry.MetricsWriter(model_dir, tensorboard)

    def record(kind: str, step: int, values: Mapping[str, Any]) -> None:
        if writer is not None:
            writer.write(kind, step, clock.elapsed_s, values)

    loader = data_loader.Loader(train_iter, partitioner, start_step=start_step)
    train_step, batch = None, None
    if start_step < total_steps:
        batch = next(loader)
        say("compiling the training step ...")
        with good.bucket("compile"):
            # Compiled ahead of time, so a batch of another shape is an error, not a recompile.
            train_step = step_ahead.result()
        compile_s = step_ahead.seconds
        cached = compiles.describe()
        say(f"compiled in {telemetry.format_duration(compile_s)}" + (cached and f"; {cached}"))
        record("event", start_step, {"name": "compiled", "compile_s": compile_s})
    evaluations.compile_in_background(plan, runtime.compile_ahead)

    @contextlib.contextmanager
    def outside_training(bucket: str) -> Iterator[None]:
        clock.pause()
        with good.bucket(bucket):
            yield
        clock.start()

    def evaluate(step: int) -> dict[str, dict[str, Any]]:
        return evaluations.run(trainable_lib.merge(state.params, frozen), step, record)

    def save(step: int) -> None:
        extra = {
            "elapsed_s": clock.elapsed_s,
            "config_sha256": gin_utils.config_hash(config_text),
            "vocabulary": vocabulary_identity,
            skipping.EXTRA_KEY: skips.until(step),
        }
        position = loader.state_at(step)
        saver.save(step, state, position, extra, force=True, base=base)

    def eval_is_due(step: int) -> bool:
        return bool(eval_period) and step % eval_period == 0 and step < total_steps

    # --------------------------------------------------------------------- loop
    evals, first_evals = {}, {}
    if run_eval_before_training and start_step == 0:
        with good.bucket("eval"):
            first_evals = evaluate(start_step)
    if start_step and eval_is_due(start_step) and not evaluations.are_recorded(start_step):
        with good.bucket("eval"):
            evals = evaluate(start_step)
    stop = preemption.StopFlag()
    profiler = profiling.Profiler(runtime.profile_steps, model_dir)
    log = step_log.StepLog(
        record,
        printer,
        telemetry.RateWindow(clock, lambda: loader.wait_s),
        stats_period=stats_period,
        total_steps=total_steps,
        task_names=task_names,
        groups=train_iter.groups,
        cfg=train_dataset_cfg,
        model_config=model.config,
        trained_share=plan.trained_share,
    )
    # The step whose metrics are not read yet: its number, metrics and batch.
    pending: tuple[int, Any, Any] | None = None
    words.describe_batch = lambda: pending and batch_origin.describe(pending[2], task_names)
    step = start_step
    replay = nan_report.Replay(
        plan=plan,
        partitioner=partitioner,
        begin=begin,
        stream=lambda: train_stream.open_stream(train_dataset_cfg, model.row_layout, partitioner),
        task_names=task_names,
        num_microbatches=num_microbatches,
        seed=random_seed,
        skips=skips,
        most=runtime.nan_replay_steps,
        say=say,
    )

    def read(done: int, metrics: Any, used_batch: Any) -> None:
        nonlocal state
        words.step = done
        try:
            shown = log.read(done, metrics)
        except NanError as error:
            kept = saver.latest_valid_step()
            del state  # Its place is needed to do the steps again.
            reason = replay.explain(done, used_batch, kept, train_step)
            raise NanError(
                f"{error}The last good checkpoint, of step {kept}, is kept in {model_dir}. {reason}"
            ) from None
        if shown:
            good.done(done)
        if profiler.after(done):
            say(f"profile of the steps up to {done} in {profiler.folder}")

    clock.start()
    good.enter("step")
    try:
        while step < total_steps:
            assert train_step is not None
            profiler.before(step + 1)
            step += 1
            used, metrics = batch, None
            if skips.holds(step):
                state = nan_report.pass_over(state)
                if not skips.holds(step - 1):
                    record("event", step, {"name": "skipped", "windows": skips.windows})
            else:
                state, metrics = train_step(state, batch, frozen)
            # The next batch is fetched and the last step's metrics read while this one computes.
            if step < total_steps:
                with good.bucket("data_wait"):
                    batch = next(loader)
            if pending is not None:
                read(*pending)
            pending = None if metrics is None else (step, metrics, used)
            evaluating = eval_is_due(step)
            saving = saver.should_save(step) or step == total_steps
            stopping = stop.reached(step) and step < total_steps
            if pending is not None and (evaluating or saving or stopping):
                read(*pending)
                pending = None
            if saving or stopping:
                good.done(step)
                with outside_training("checkpoint"):
                    save(step)
                    if stopping:
                        saver.wait()
            if stopping:
                raise PreemptedError(
                    f"Told to stop at step {step} ({stop.reason or 'by another host'}); the state "
                    f"is saved in {model_dir}. Start the same command again to go on."
                )
            if evaluating:
                with outside_training("eval"):
                    evals = evaluate(step)
                log.rates.reset()
        clock.pause()
        # -------------------------------------------------------------- close
        train_s = clock.elapsed_s
        with good.bucket("eval"):
            evals = evaluate(step)
        with good.bucket("checkpoint"):
            saver.wait()
        record("event", step, {"name": "finished", "train_s": train_s})
        runner.raise_failures(evals)
    finally:
        clock.pause()
        stop.close()
        profiler.close()
        loader.close()
        saver.close()
        compiles.close()
        good.write()
        if writer is not None:
            data_stats = pathlib.Path(model_dir, "data_stats.json")
            data_stats.write_text(json.dumps(loader.stats(), indent=1), encoding="utf-8")
            record("event", step, {"name": "goodput", **good.totals()})
            writer.close()
            say(goodput.describe(good.totals()))
    spent = telemetry.format_duration(train_s)
    say(f"done: {step} steps in {spent}, loss {log.loss:.4f}, {model_dir}")
    return TrainResult(step, log.loss, evals, first_evals, train_s)
