"""Host memory of an import, measured in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from etils import epath

from flan_jax import checkpoint_arrays
from flan_jax.interop import hf_t5, names, safetensors_files
from flan_jax.interop.source import Stored
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.sizes import t5_config
from flan_jax.models.t5 import Transformer

_IMPORT = """
import json, resource, sys
import jax, flan_jax.configurables
from flan_jax.interop import carry, importing
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
load, seen = carry.load, {}
def measured(*args, **kwargs):
    seen["before"] = peak()
    params = load(*args, **kwargs)
    seen["model"] = sum(leaf.nbytes for leaf in params.values())
    seen["largest"] = max(leaf.nbytes for leaf in params.values())
    seen["loaded"] = peak()
    return params
carry.load = measured
importing.import_checkpoint(*sys.argv[1:3], gin_bindings=tuple(sys.argv[3:]), compare_logits=False)
print(json.dumps({**seen, "written": peak()}))
"""


@pytest.fixture
def large(tmp_path):
    """A directory of the shape of T5 1.1 small: 308 MB in 190 arrays, drawn as they are written."""
    config = t5_config("t5_1_1_small", scan_layers=False)
    ours = checkpoint_arrays.flat(EncoderDecoderModel(Transformer(config)).abstract_params())
    arrays = {
        rule.theirs: Stored(ours[name].shape[:: -1 if rule.transpose else 1], np.dtype("float32"))
        for name, rule in names.expand(hf_t5.name_map(config).rules, list(ours)).items()
    }
    folder = tmp_path / "large"
    folder.mkdir()
    generator = np.random.default_rng(0)
    safetensors_files.write(
        epath.Path(folder / "model.safetensors"),
        arrays,
        lambda name: generator.standard_normal(arrays[name].shape, np.float32),
        {"format": "pt"},
    )
    (folder / "config.json").write_text(json.dumps(hf_t5.config_to_hf(config)))
    return folder


@pytest.mark.exhaustive
def test_no_second_copy_of_the_model_is_made(large, tmp_path):
    """Into stacked layers, which are put together out of the single ones in the file."""
    scan = "network.T5Config.scan_layers = True"
    argv = [sys.executable, "-c", _IMPORT, str(large), str(tmp_path / "run"), scan]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["model"] > 300e6
    # What is promised is the largest array and 1 GB; less than a model shows that it streams.
    extra = seen["loaded"] - seen["before"] - seen["model"]
    assert extra < seen["largest"] + 200e6 < seen["model"]
    assert seen["written"] - seen["before"] - seen["model"] < seen["largest"] + 1e9
