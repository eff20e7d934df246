"""Prefixes: a set of texts as a trie of tokens, and the passes that compute each node once."""

from repalign.prefixes.pieces import cut_into_pieces
from repalign.prefixes.plan import Pass, Plan
from repalign.prefixes.trie import Trie, common_prefix

__all__ = ["Pass", "Plan", "Trie", "common_prefix", "cut_into_pieces"]
