"""The law of shared prefixes."""

import math

import torch

from repalign.checks.outcomes import PREFIXES, Outcome
from repalign.checks.readings import ids, relative, worst
from repalign.models import LanguageModel, passes
from repalign.prefixes import Plan, Trie
from repalign.tokens import Tokens


def prefixes(model: LanguageModel, tolerance: float) -> Outcome:
    """Compare states of common beginnings, computed once, with those of each text alone."""
    # The forked texts have a long and a short common beginning, so that the plan has a trunk on a
    # trunk, rows with branches and rows without.
    long, short, *rest = sorted(ids(model), key=len, reverse=True)
    ends = [row[:3] for row in (long, short, *rest)]
    texts = [start + end for start in (long, long[:4] + short) for end in ends]
    trie = Trie.of(texts, [range(len(text)) for text in texts])
    plan = Plan.of(trie, max_tokens=16, row=6, overhead=0.0)
    site = model.sites()[-1]
    alone = [model.capture(Tokens.pad([row], model.pad_id), [site])[site][0] for row in texts]

    def outcome(error: float, note: str) -> Outcome:
        law = "states of a common beginning, computed once, are those of whole texts"
        return Outcome(PREFIXES, law, error, tolerance, note=note, detour=True)

    if (reason := passes.obstacle(model)) is not None:
        return outcome(math.inf, reason)
    states = torch.empty(len(trie), model.d_model)
    try:
        for found in passes.run(model, plan, [site]):
            states[torch.from_numpy(found.nodes)] = found.values[site]
    except Exception as error:
        # Families refuse a cache or a mask that they do not know in many ways; the reason is shown.
        return outcome(math.inf, f"{type(error).__name__}: {str(error)[:200]}")
    parts = states[torch.from_numpy(trie.wanted)].split([len(text) for text in texts])
    # Token by token: first tokens are often so large that an error elsewhere would not show.
    error = worst(
        relative(found, wanted)
        for part, whole in zip(parts, alone, strict=True)
        for found, wanted in zip(part, whole.float().cpu(), strict=True)
    )
    return outcome(error, "")
