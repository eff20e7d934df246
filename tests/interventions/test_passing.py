"""Passing: what is known of a pass, whatever form its inputs have."""

import pytest
import torch

from repalign.errors import InputError
from repalign.interventions import Passing, intervene
from repalign.models import LanguageModel
from repalign.tokens import Tokens


def test_one_call_in_a_pass_is_enough_to_choose(model: LanguageModel, ragged: Tokens) -> None:
    seen: list[Passing] = []

    def where(passing: Passing) -> bool:
        seen.append(passing)
        return True

    with intervene(model, dict.fromkeys(model.sites(), lambda x: x + 1), where):
        model.logits(ragged)
    assert len(seen) == 1
    assert seen[0].ids is not None
    assert torch.equal(seen[0].ids, ragged.ids)
    assert torch.equal(seen[0].attended, ragged.attended)


def test_a_state_that_does_not_tell_its_length_is_refused(prompts: Tokens) -> None:
    class Odd:
        """A recurrent state of remote code."""

    with pytest.raises(InputError, match="Odd does not tell how many tokens it holds"):
        Passing.of({"input_ids": prompts.ids, "state": Odd()}, None)
    with pytest.raises(InputError, match="without input_ids and inputs_embeds"):
        Passing.of({}, None)


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("additive", [False, True])
def test_the_padding_is_known_from_a_mask_for_each_query_too(
    prompts: Tokens, additive: bool, number: torch.dtype
) -> None:
    seen = prompts.attended[:, None, None, :] & torch.ones(4, 4, dtype=torch.bool).tril()
    lowest = torch.finfo(number).min
    mask = torch.zeros(seen.shape, dtype=number).masked_fill(~seen, lowest) if additive else seen
    inputs = {"input_ids": prompts.ids, "attention_mask": mask}
    assert torch.equal(Passing.of(inputs, None).attended, prompts.attended)
    kinds = {"sliding_attention": torch.zeros_like(mask), "full_attention": mask}
    inputs = {"input_ids": prompts.ids, "attention_mask": kinds}
    assert torch.equal(Passing.of(inputs, None).attended, prompts.attended)
