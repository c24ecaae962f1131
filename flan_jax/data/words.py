"""A vocabulary of whole words for small closed languages such as MiniFLAN's."""

from collections.abc import Sequence

import seqio
import tensorflow as tf

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
FIRST_WORD_ID = 3


class WordVocabulary(seqio.Vocabulary):
    """Whitespace-separated words from a fixed list.

    Ids: 0 padding, 1 end of sequence, 2 any unknown word, then the words in the order given, then
    `extra_ids` unused ids. The same list gives the same ids for ever.

    >>> vocabulary = WordVocabulary(['red', 'blue'])
    >>> vocabulary.encode('blue  green red')
    [4, 2, 3]
    >>> vocabulary.decode([4, 3, 1, 3])
    'blue red'
    """

    def __init__(self, words: Sequence[str], extra_ids: int = 0):
        """Makes the vocabulary.

        Args:
          words: distinct words without blanks.
          extra_ids: unused ids after the last word, e.g. to round the size up.

        Raises:
          ValueError: a word is empty, contains whitespace, or is listed twice.
        """
        super().__init__(extra_ids=extra_ids)
        self._words = tuple(words)
        wrong = [word for word in self._words if _split(word) != [word]]
        if wrong:
            raise ValueError(f"words must be non-empty and without whitespace, found {wrong[:5]}")
        self._id_of = {word: FIRST_WORD_ID + i for i, word in enumerate(self._words)}
        if len(self._id_of) != len(self._words):
            twice = sorted({word for word in self._words if self._words.count(word) > 1})
            raise ValueError(f"words are listed twice: {twice[:5]}")
        self._table = None

    @property
    def words(self) -> tuple[str, ...]:
        """The words in the order of their ids, which start at 3."""
        return self._words

    @property
    def bos_id(self) -> int:
        """Padding starts a decoder sequence, as in T5."""
        return PAD_ID

    @property
    def eos_id(self) -> int:
        """Id of the end of a sequence."""
        return EOS_ID

    @property
    def unk_id(self) -> int:
        """Id of every word not in the list."""
        return UNK_ID

    @property
    def _base_vocab_size(self) -> int:
        return FIRST_WORD_ID + len(self._words)

    def _encode(self, s: str) -> list[int]:
        return [self._id_of.get(word, UNK_ID) for word in _split(s)]

    def _decode(self, ids) -> str:
        names = ("", "", "<unk>", *self._words)
        return " ".join(names[i] for i in ids if names[i])

    def _lookup_table(self) -> tf.lookup.StaticHashTable:
        if self._table is None:
            # Made outside any dataset function that happens to be traced, so that all share it.
            with tf.init_scope():
                self._table = tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(
                        tf.constant(list(self._words), tf.string),
                        tf.range(FIRST_WORD_ID, self._base_vocab_size, dtype=tf.int32),
                    ),
                    default_value=UNK_ID,
                )
        return self._table

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        words = tf.strings.split(s)
        if isinstance(words, tf.RaggedTensor):
            return tf.ragged.map_flat_values(self._lookup_table().lookup, words)
        return self._lookup_table().lookup(words)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        names = tf.constant(["", "", "<unk>", *self._words])
        kept = tf.ragged.boolean_mask(ids, tf.logical_and(ids != PAD_ID, ids != EOS_ID))
        return tf.strings.reduce_join(tf.gather(names, kept), axis=-1, separator=" ")

    def __getstate__(self):
        return {**self.__dict__, "_table": None}

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, WordVocabulary)
            and self._words == other._words
            and self.extra_ids == other.extra_ids
        )

    def __hash__(self) -> int:
        return hash((self._words, self.extra_ids))

    def __str__(self) -> str:
        return f"WordVocabulary({len(self._words)} words, extra_ids={self.extra_ids})"


def _split(text: str) -> list[str]:
    # ASCII whitespace only, as tf.strings.split does, so that both ways give the same ids.
    return [word.decode() for word in text.encode().split()]
