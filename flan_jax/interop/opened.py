"""A checkpoint of any kind, opened: its arrays, and how they are bound to a model's names."""

import dataclasses
from typing import Any

from etils import epath

from flan_jax.errors import CheckpointError
from flan_jax.interop import detect, families, names, stacks, stores
from flan_jax.interop.detect import HUGGING_FACE, OURS, T5X, Found
from flan_jax.interop.safetensors_files import SafetensorsSource
from flan_jax.interop.source import Source
from flan_jax.interop.stacks import Shapes

# In front of the names of parameters.
_PREFIX = {OURS: "params/", T5X: "target/", detect.T5X_ORBAX: "target/"}


@dataclasses.dataclass(frozen=True)
class Opened:
    """A checkpoint whose arrays can be read.

    Attributes:
      found: what and where it is.
      source: its parameters; optimizer state is not opened.
      config: of a Hugging Face directory: config.json.
    """

    found: Found
    source: Source
    config: dict[str, Any] | None = None

    @property
    def family(self) -> families.Family | None:
        """Of a Hugging Face directory."""
        if self.config is None:
            return None
        return families.of_config(self.config, self.source.where)

    def bind(self, wanted: Shapes, scan_axis: int) -> names.Bound:
        """Finds a model's arrays.

        Args:
          wanted: our names of the unscanned layout -> shape.
          scan_axis: of the model.

        Raises:
          CheckpointError, ConfigError: as from `families.of_config` and `names.bind`.
        """
        if self.family is None or self.config is None:
            prefix = _PREFIX[self.found.kind]
            return stacks.bind_same(self.source, wanted, scan_axis, prefix)
        config = self.family.config_from_hf(self.config)
        name_map = self.family.name_map(config, self.source.arrays)
        return names.bind(self.source, name_map, list(wanted))


def open_found(found: Found) -> Opened:
    """Opens a checkpoint.

    Raises:
      CheckpointError: a file is missing or damaged.
    """
    where = str(found.directory)
    if found.kind == HUGGING_FACE:
        config = stores.read_json(found.directory / "config.json")
        families.of_config(config, where)
        return Opened(found, _safetensors(found.directory), config)
    prefix = _PREFIX[found.kind]
    if found.kind == T5X:
        source: Source = stores.open_t5x(found.directory, prefix)
    else:
        item = "params" if found.kind == OURS else "state"
        source = stores.open_orbax(found.directory / item, where, prefix)
    if not source.arrays:
        raise CheckpointError(f"{where} has no parameters: no array is named {prefix}...")
    return Opened(found, source)


def _is_plain_name(name: object) -> bool:
    """Whether it names a file in the folder itself, and leads nowhere else."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _safetensors(directory: epath.Path) -> SafetensorsSource:
    """The weights of a Hugging Face directory, in one file or several."""
    index = directory / detect.SAFETENSORS_INDEX
    if not index.exists():
        return SafetensorsSource(str(directory), [directory / detect.SAFETENSORS])
    weight_map = stores.read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no 'weight_map' of names and files.")
    if odd := [name for name in weight_map.values() if not _is_plain_name(name)]:
        raise CheckpointError(
            f"{index} names the shard {odd[0]!r}; expected names of files beside it."
        )
    shards = sorted(set(weight_map.values()))
    if missing := [name for name in shards if not (directory / name).exists()]:
        raise CheckpointError(
            f"{directory} lacks {len(missing)} of its {len(shards)} shards: "
            f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}. Copy them from where "
            "the others come from."
        )
    source = SafetensorsSource(str(directory), [directory / name for name in shards])
    if lost := [name for name in weight_map if name not in source.arrays]:
        raise CheckpointError(
            f"{directory}: {index.name} names {lost[0]!r} in {weight_map[lost[0]]}, which does not "
            f"have it ({len(lost)} such names). The shards are not of one model; copy them again."
        )
    return source
