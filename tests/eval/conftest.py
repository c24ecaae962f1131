"""A tiny model with fixed random weights, on one device and on eight."""

import dataclasses
from typing import Any

import jax
import pytest

from flan_jax import testing
from flan_jax.data.config import DatasetConfig
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer


@dataclasses.dataclass
class Tiny:
    """One model on one mesh."""

    model: Any
    params: Any
    partitioner: Any

    def args(self):
        return self.model, self.params, self.partitioner


def make_tiny(devices: int) -> Tiny:
    model = EncoderDecoderModel(
        Transformer(testing.tiny_t5_config(num_encoder_layers=1, num_decoder_layers=1))
    )
    return placed(model, devices)


def make_tiny_decoder(devices: int, **options: Any) -> Tiny:
    """The same of a decoder alone: a prefix LM whose rows start with 'red'."""
    options = {"inputs_bidirectional_attention": True, "bos_id": 5, **options}
    config = testing.tiny_decoder_config(num_layers=1, logits_via_embedding=False)
    return placed(DecoderOnlyModel(DecoderOnlyTransformer(config), **options), devices)


def placed(model: Any, devices: int) -> Tiny:
    partitioner = PjitPartitioner(devices=devices)
    params = jax.jit(model.init)(jax.random.key(1))
    # A flat distribution: outputs then differ from row to row.
    params["decoder"]["logits_dense"]["kernel"] *= 0.5
    shardings = partitioner.shardings(model.abstract_params(), model.logical_axes())
    return Tiny(model, jax.device_put(params, shardings), partitioner)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return make_tiny(1)


@pytest.fixture(scope="session")
def tiny_on_eight_devices() -> Tiny:
    return make_tiny(8)


@pytest.fixture(scope="session")
def make_decoder():
    return make_tiny_decoder


@pytest.fixture(scope="session")
def tiny_decoder() -> Tiny:
    return make_tiny_decoder(1)


@pytest.fixture
def dataset():
    """Makes the `DatasetConfig` of a name."""

    def make(name, **changes):
        fields = {
            "mixture_or_task_name": name,
            "task_feature_lengths": {"inputs": 8, "targets": 7},
            "split": "validation",
            "batch_size": 8,
            "shuffle": False,
            "seed": 0,
        }
        return DatasetConfig(**{**fields, **changes})

    return make
