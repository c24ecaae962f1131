"""A decoder alone from end to end: it learns, resumes to the bit, is evaluated and answers."""

import json

import pytest

from flan_jax import checkpoint, evaluate, testing
from flan_jax.data.config import DatasetConfig
from flan_jax.decode import DecodeConfig
from flan_jax.errors import ConfigError
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.optimizers import AdamW

from . import small_runs
from .small_runs import ONE

WORDS = testing.TOY_WORDS[2:]
NEXT = dict(zip(WORDS, (*WORDS[1:], WORDS[0]), strict=True))
SPLITS = ("train", "test")
STEPS = 120

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def tasks():
    """'copy X' is answered by X and 'reverse X' by the next word; as text, both in one."""
    rows = [(f"copy {w}", w) for w in WORDS] + [(f"reverse {w}", NEXT[w]) for w in WORDS]
    testing.register_toy_task("one_row", rows=rows, splits=SPLITS, inputs_eos=False)
    testing.register_toy_task("one_text", rows=rows, splits=SPLITS, has_inputs=False)


# Single objects, so that what is compiled for them serves all tests.
CONFIG = testing.tiny_decoder_config(
    emb_dim=32, num_layers=1, scan_layers=False, dropout_rate=0.05, positions="rotary"
)
PREFIX_LM = DecoderOnlyModel(
    DecoderOnlyTransformer(CONFIG), optimizer_def=AdamW(), inputs_bidirectional_attention=True
)
CAUSAL = DecoderOnlyModel(DecoderOnlyTransformer(CONFIG), optimizer_def=AdamW(), loss_on="all")


def dataset(name, split, **changes):
    training = split == "train"
    lengths = {"targets": 4} if name == "one_text" else {"inputs": 5, "targets": 3}
    fields = {"batch_size": 12, "shuffle": training, "seed": 0, "pack": training, **changes}
    return DatasetConfig(name, lengths, split, packing_window=8, snapshot_period=20, **fields)


def run_training(model, folder, name, steps=STEPS, rate=0.02, evaluation=None):
    evaluations = dict.fromkeys(("train_eval_dataset_cfg", "infer_eval_dataset_cfg"), evaluation)
    data = dataset(name, "train")
    return small_runs.run_training(model, folder, data, steps, rate, 50, **evaluations)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(MODEL_DIR, result) of a prefix LM."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, run_training(PREFIX_LM, folder, "one_row", evaluation=dataset("one_row", "test"))


def test_it_learns_and_says_what_the_rows_held(trained):
    folder, result = trained
    assert result.evals["one_row"]["exact_match"] == 100.0
    assert result.evals["one_row"]["accuracy"] == 1.0
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [record for record in records if record["kind"] == "train"][-1]
    assert last["encoder_tokens"] == 0
    # Two packed examples of 4 tokens ('copy', a word; a word, the end) fill each row of 8.
    assert last["decoder_tokens"] == 12 * 8
    # The loss is the mean of all steps since the last line.
    assert last["loss_weight"] == 20 * 12 * 4
    stats = json.loads((folder / "data_stats.json").read_text())
    assert stats["decoder_fill"] == stats["fill"] == 1.0


def test_a_resumed_run_ends_with_the_same_bits(trained, tmp_path):
    run_training(PREFIX_LM, tmp_path, "one_row", steps=70)
    run_training(PREFIX_LM, tmp_path, "one_row")
    small_runs.assert_same_end(PREFIX_LM, (trained[0], tmp_path))


def test_eval_and_infer_answer_alike(trained, tmp_path):
    cfg = checkpoint.RestoreCheckpointConfig(str(trained[0]))
    data = dataset("one_row", "test", pack=False)
    found = evaluate.evaluate(PREFIX_LM, data, cfg, ONE, str(tmp_path))
    assert found["one_row"] == pytest.approx(
        trained[1].evals["one_row"] | {"decode_tokens_per_s": pytest.approx(0, abs=1e12)}
    )
    asked = [f"reverse {word}" for word in WORDS]
    given = small_runs.answers(PREFIX_LM, data, cfg, asked, tmp_path)
    assert given == [NEXT[word] for word in WORDS]


@pytest.mark.exhaustive
def test_plain_text_is_learned_and_continued(tmp_path):
    cfg = checkpoint.RestoreCheckpointConfig(str(tmp_path))
    run_training(CAUSAL, tmp_path, "one_text", steps=400, rate=0.005)
    asked = [f"reverse {word}" for word in WORDS]
    config = DecodeConfig(max_decode_length=2)
    data = dataset("one_text", "test", pack=False)
    given = small_runs.answers(CAUSAL, data, cfg, asked, tmp_path, config)
    assert given == [NEXT[word] for word in WORDS]


def test_an_encoder_decoder_refuses_targets_alone_before_any_data(tmp_path):
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config()), optimizer_def=AdamW())
    with pytest.raises(ConfigError, match=r"train_dataset_cfg\.task_feature_lengths has lengths"):
        run_training(model, tmp_path, "one_text")
