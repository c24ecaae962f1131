"""What every stream of training batches says of the mixture that it draws from."""

from flan_jax.data.config import DatasetConfig
from flan_jax.data.mixture import ResolvedMixture


class MixtureStream:
    """A stream of batches; a kind of stream sets the attributes that these read."""

    _cfg: DatasetConfig
    _mixture: ResolvedMixture
    _groups: tuple[str, ...]

    @property
    def task_names(self) -> tuple[str, ...]:
        """Task names; `decoder_task_ids` are indices into it."""
        return self._mixture.task_names

    @property
    def groups(self) -> tuple[str, ...]:
        """Of each task, the collection that its figures are added up with; '' for none."""
        return self._groups

    @property
    def mixture(self) -> ResolvedMixture:
        """The tasks and their rates."""
        return self._mixture

    @property
    def vocabulary_size(self) -> int:
        """Ids the tasks may produce: the larger of the two vocabularies', sentinels included."""
        features = self._mixture.output_features
        return max(features[name].vocabulary.vocab_size for name in self._cfg.token_features)
