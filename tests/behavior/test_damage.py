"""Damage: the KL of every token is the textbook's, and nothing written is no damage at all."""

import numpy as np
import pytest
import torch
import toy as toys

from repalign import datasets
from repalign.behavior import Damage, Reference, ask, perplexity
from repalign.behavior.damage import perplexity_of
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.interventions import Add, Conditional, intervene
from repalign.models import LanguageModel
from repalign.readouts import Readout
from repalign.sites import Site
from repalign.spans import Span
from repalign.tokens import Tokens

SITE = Site(1)
TEXTS = ["the sea is true", "lamp", "the sea and the hill is wrong", "a moon"]


def _push(coefficient: float) -> dict[Site, Add]:
    vector = np.random.default_rng(3).normal(size=toys.WIDTH).astype(np.float32)
    direction = Direction(vector / np.linalg.norm(vector), SITE, 0.0, 1.0)
    return {SITE: Add(direction, coefficient)}


def _by_hand(model: LanguageModel, text: str) -> tuple[torch.Tensor, list[int]]:
    """Next-token log-probabilities `[pos vocab]` of one text alone, in double precision."""
    ids = model.tokenizer(text)["input_ids"]
    return model.logits(Tokens.pad([ids], 0))[0].double().log_softmax(dim=-1), ids


def _damage(kl: list[float], groups: str) -> Damage:
    values, names = np.array(kl), np.array(list(groups))
    zeros = np.zeros(len(kl))
    return Damage(values, values == 0, zeros, zeros, names, names)


def test_with_nothing_written_there_is_no_damage(toy: LanguageModel) -> None:
    found = Reference.of(toy, TEXTS).damage()
    assert (found.kl == 0).all()
    assert found.agreed.all()
    assert np.array_equal(found.surprise, found.surprise_before)
    with intervene(toy, _push(0.0)):
        assert (Reference.of(toys.model(), TEXTS).damage(toy).kl == 0).all()


def test_damage_is_that_of_each_text_read_alone(toy: LanguageModel) -> None:
    reference = Reference.of(toy, TEXTS)
    with intervene(toy, _push(2.0)):
        found = reference.damage()
        pushed = [_by_hand(toy, text) for text in TEXTS]
    plain = [_by_hand(toy, text) for text in TEXTS]
    expected: dict[tuple[int, ...], tuple[float, bool]] = {}
    surprise: list[float] = []
    for (before, ids), (now, _) in zip(plain, pushed, strict=True):
        kl = (before.exp() * (before - now)).sum(dim=1)
        same = before.argmax(dim=1) == now.argmax(dim=1)
        for place in range(len(ids)):
            key = tuple(ids[: place + 1])
            expected.setdefault(key, (float(kl[place]), bool(same[place])))
        surprise += [-float(now[place, token]) for place, token in enumerate(ids[1:])]
    # Beginnings that texts share count once; the first text has them all.
    assert len(found.kl) == len(expected) == reference.tokens
    assert len(expected) < sum(len(ids) for _, ids in plain)
    assert found.kl == pytest.approx([kl for kl, _ in expected.values()], abs=1e-5)
    assert found.agreed.tolist() == [same for _, same in expected.values()]
    assert not found.agreed.all()
    assert found.surprise == pytest.approx(surprise, abs=1e-5)
    assert found.mean.value > 0.01
    assert found.origin["interventions"][0]["coefficient"] == 2.0


def test_more_push_more_damage(toy: LanguageModel) -> None:
    reference = Reference.of(toy, TEXTS)
    found = []
    for coefficient in (0.5, 1.0, 2.0):
        with intervene(toy, _push(coefficient)):
            found.append(reference.damage().mean.value)
    assert 0 < found[0] < found[1] < found[2]


def test_what_depends_on_tokens_does_the_same_damage(toy: LanguageModel) -> None:
    # A probe that every token is below of: the same push, but texts are read whole.
    reference = Reference.of(toy, TEXTS)
    readout = Readout((Site(0),), np.zeros((1, toys.WIDTH), np.float32), 0.0, Span.parse("last"))
    with intervene(toy, _push(2.0)):
        everywhere = reference.damage()
    conditional = Conditional(_push(2.0)[SITE], readout, 1.0)
    with intervene(toy, {SITE: conditional}):
        assert reference.damage().kl == pytest.approx(everywhere.kl, abs=1e-5)


def test_the_damage_of_another_model(toy: LanguageModel) -> None:
    reference = Reference.of(toy, TEXTS)
    other = toys.model()
    assert (reference.damage(other).kl == 0).all()
    with torch.no_grad():
        other.network.lm_head.weight[5] += 1.0
    assert reference.damage(other).mean.value > 0.001
    assert (reference.damage().kl == 0).all()


def test_the_worst_five_percent_are_counted_to_the_fraction() -> None:
    # 5% of 30 tokens are one and a half.
    kl = [0.0] * 27 + [1.0, 2.0, 6.0]
    assert _damage(kl, "a" * 30).worst.value == pytest.approx((6.0 + 0.5 * 2.0) / 1.5)
    assert _damage([1.0, 3.0], "ab").worst.value == pytest.approx(3.0)
    assert _damage([2.0] * 7, "abcdefg").worst.value == pytest.approx(2.0)
    shuffled = [kl[i] for i in np.random.default_rng(0).permutation(30)]
    assert _damage(shuffled, "a" * 30).worst.value == pytest.approx(14 / 3)


def test_intervals_of_damage_rest_on_texts() -> None:
    kl = [0.0, 1.0] * 10
    assert _damage(kl, "ab" * 10).mean.n == 2
    # Every text holds the same tokens, so no resample differs.
    same = _damage(kl, "aabbccddeeffgghhiijj")
    assert (same.mean.low, same.mean.high) == (0.5, 0.5)
    assert (same.worst.low, same.worst.high) == pytest.approx((1.0, 1.0))
    apart = _damage(sorted(kl), "aabbccddeeffgghhiijj")
    assert apart.mean.low < 0.4


def test_perplexity_is_the_exponential_of_the_mean_surprise(toy: LanguageModel) -> None:
    found = perplexity(toy, TEXTS)
    surprise: list[float] = []
    for text in TEXTS:
        chances, ids = _by_hand(toy, text)
        surprise += [-float(chances[place, token]) for place, token in enumerate(ids[1:])]
    assert found.value == pytest.approx(np.exp(np.mean(surprise)), rel=1e-5)
    assert found.n == len(TEXTS)
    assert perplexity(toy, TEXTS, max_tokens=9).value == pytest.approx(found.value, rel=1e-5)
    reference = Reference.of(toy, TEXTS)
    assert reference.damage().perplexity == found
    with intervene(toy, _push(2.0)):
        pushed = perplexity(toy, TEXTS)
        damage = reference.damage()
    assert damage.perplexity == pushed
    assert damage.perplexity_before == found
    assert pushed.value != found.value


def test_a_uniform_guess_among_eight_has_perplexity_eight() -> None:
    found = perplexity_of(np.full(6, np.log(8.0)), np.array(list("aabbcc")))
    assert (found.value, found.low, found.high) == pytest.approx((8.0, 8.0, 8.0))


def test_as_many_positions_are_kept_as_were_asked_for(toy: LanguageModel) -> None:
    whole = Reference.of(toy, TEXTS)
    ids = [toy.tokenizer(text)["input_ids"] for text in TEXTS]
    part = Reference.of(toy, TEXTS, max_tokens=len(ids[0]) + 1)
    assert (part.tokens, part.texts) == (len(ids[0]) + 1, 2)
    assert torch.allclose(part.logprobs, whole.logprobs[: part.tokens], atol=1e-5)
    assert (part.damage().kl == 0).all()
    assert Reference.of(toy, TEXTS, max_tokens=len(ids[0])).texts == 1
    with pytest.raises(InputError, match="two positions or more"):
        Reference.of(toy, TEXTS, max_tokens=1)


def test_conversations_and_answers_are_read_as_they_are_rendered(toy: LanguageModel) -> None:
    chats = [Example.of_chat("the sea", "is wet", group="a"), Example.of_chat("hill", "so")]
    found = Reference.of(toy, chats)
    header = "<|im_start|>user\nthe sea<|im_end|>\n<|im_start|>assistant\nis wet"
    assert found.read.ids[0] == toy.tokenizer(header, add_special_tokens=False)["input_ids"]
    assert list(found.read.groups) == ["a", "text 1"]
    answers = ask(toy, ["the sea", "hill"], max_new_tokens=4)
    expected = perplexity(toy, answers.examples())
    assert perplexity(toy, answers) == expected


def test_a_reference_is_of_the_plain_model(toy: LanguageModel) -> None:
    with (
        pytest.raises(InputError, match="reference is of the plain model"),
        intervene(toy, _push(1.0)),
    ):
        Reference.of(toy, TEXTS)


@pytest.mark.parametrize("where", ["last", "generated", "prompt"])
def test_writing_where_a_prompt_ends_is_refused(toy: LanguageModel, where: str) -> None:
    reference = Reference.of(toy, TEXTS)
    with pytest.raises(InputError, match=where), intervene(toy, _push(1.0), where=where):
        reference.damage()
    with pytest.raises(InputError, match=where), intervene(toy, _push(1.0), where=where):
        perplexity(toy, TEXTS)


def test_numbers_that_are_none_name_the_text(toy: LanguageModel) -> None:
    reference = Reference.of(toy, TEXTS)
    word = toy.tokenizer.convert_tokens_to_ids("▁lamp")
    with torch.no_grad():
        toy.network.model.embed_tokens.weight[word] = torch.nan
    with pytest.raises(InputError, match=r"text 1 .'lamp'"):
        reference.damage()
    with pytest.raises(InputError, match=r"text 1 .'lamp'"):
        perplexity(toy, TEXTS)


def test_a_token_that_is_ruled_out_is_told_from_one_that_was_possible(toy: LanguageModel) -> None:
    plain = Reference.of(toy, TEXTS)

    def rule_out(_module: object, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        logits[..., 4] = -torch.inf
        return logits

    toy.network.lm_head.register_forward_hook(rule_out)
    with pytest.raises(InputError, match="the KL is infinite"):
        plain.damage()
    # Ruled out before as after, it adds nothing.
    assert (Reference.of(toy, TEXTS).damage().kl == 0).all()


def test_other_vocabularies_and_texts_without_tokens_are_refused(toy: LanguageModel) -> None:
    reference = Reference.of(toy, TEXTS)
    other = toys.model()
    other.network.resize_token_embeddings(reference.logprobs.shape[1] + 3)
    with pytest.raises(InputError, match="tokens in its vocabulary"):
        reference.damage(other)
    with pytest.raises(InputError, match="0 texts were given"):
        perplexity(toy, [])
    with pytest.raises(InputError, match=r"text 0 .* more than the 160"):
        perplexity(toy, ["the sea " * 99])


def test_the_damage_of_the_embedded_model(smollm2: LanguageModel) -> None:
    reference = Reference.of(smollm2, datasets.load("benign")[:4], max_tokens=96)
    assert reference.tokens == 96
    site = Site(15)
    vector = np.random.default_rng(0).normal(size=smollm2.d_model).astype(np.float32)
    direction = Direction(vector / np.linalg.norm(vector), site, 0.0, 1.0)
    with intervene(smollm2, {site: Add(direction, 20.0)}):
        found = reference.damage()
    assert (reference.damage().kl == 0).all()
    assert 0.0 < found.mean.value < found.worst.value
    # Prompts of the template are foreseen well, free text less so.
    assert 5 < found.perplexity_before.value < 500
