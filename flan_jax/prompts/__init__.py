"""Instruction templates: plain-text patterns, checked, rendered alike in Python and in a graph."""

from flan_jax.prompts.choice import choose, text_index
from flan_jax.prompts.few_shot import FewShot, FewShotFormat
from flan_jax.prompts.options import OptionsRenderer
from flan_jax.prompts.row_step import RowStep
from flan_jax.prompts.template import Pattern, Template, parse_pattern
from flan_jax.prompts.template_set import TemplateSet
from flan_jax.prompts.vocabulary_check import lost_characters

__all__ = [
    "FewShot",
    "FewShotFormat",
    "OptionsRenderer",
    "Pattern",
    "RowStep",
    "Template",
    "TemplateSet",
    "choose",
    "lost_characters",
    "parse_pattern",
    "text_index",
]
