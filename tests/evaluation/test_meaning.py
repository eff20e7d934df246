from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy as toys
from respondents import Scripted
from transformers import BertConfig, BertForSequenceClassification

from repalign.errors import InputError
from repalign.evaluation import Setting
from repalign.evaluation.cross_encoder import CrossEntailment, CrossSimilarity, chosen
from repalign.evaluation.meaning import Entailment, Lexical, Similarity

ASKED = "Which country is the city of Lyon in?"


def network(labels: list[str]) -> BertForSequenceClassification:
    torch.manual_seed(0)
    names = dict(enumerate(labels))
    config = BertConfig(
        vocab_size=len(toys.tokenizer()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        id2label=names,
        label2id={label: key for key, label in names.items()},
        initializer_range=0.3,
    )
    return BertForSequenceClassification(config)


def words() -> Any:
    made = toys.tokenizer()
    made.pad_token = "</s>"
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ("Paris, France", "In Paris", 1 / 3),
        ("The sea.", "sea", 1.0),
        ("", "", 1.0),
        ("", "sea", 0.0),
        ("<think>sea</think> hill", "hill", 1.0),
    ],
)
def test_lexical_similarity_by_hand(one: str, other: str, value: float) -> None:
    assert Lexical().similarities([(one, other)]).tolist() == [pytest.approx(value)]


@pytest.mark.parametrize(
    ("one", "other", "there", "back"),
    [
        ("The city of Lyon is in France.", "France", True, True),
        ("France, in Europe", "France", True, False),
        ("France", "Spain", False, False),
        ("Yes", "No", False, False),
        ("It is not France", "It is France", True, False),
    ],
)
def test_lexical_entailment_by_hand(one: str, other: str, there: bool, back: bool) -> None:
    found = Lexical().entails(ASKED, [(one, other), (other, one)])
    assert found.tolist() == [there, back]


def test_words_of_the_question_count_where_an_answer_is_one_of_them() -> None:
    asked = "Is two larger or smaller than nine?"
    assert Lexical().entails(asked, [("Larger.", "Smaller.")]).tolist() == [False]
    assert Lexical().entails(asked, [("It is smaller.", "Smaller")]).tolist() == [True]


def test_cross_encoders_give_what_the_network_gives_each_pair_alone() -> None:
    """Padding, the order in a batch and doubles must not show."""
    pairs = [("sea", "the sea and hill"), ("moon", "rain"), ("sea", "the sea and hill"), ("a", "b")]
    like = CrossSimilarity(network(["like"]), words(), "tiny", batch=2)
    found = like.similarities(pairs)
    alone = []
    for one, other in pairs:
        tokens = like.tokenizer(one, other, return_tensors="pt")
        with torch.no_grad():
            alone.append(torch.sigmoid(like.network(**tokens).logits[0, 0]).item())
    np.testing.assert_allclose(found, alone, atol=1e-5)
    assert np.ptp(found) > 0.001
    assert found[0] == found[2]
    assert isinstance(like, Similarity)
    assert like.similarities([]).shape == (0,)


def test_entailment_is_the_likeliest_label_of_question_and_answers() -> None:
    made = CrossEntailment(network(["CONTRADICTION", "neutral", "Entailment"]), words(), "tiny")
    pairs = [("sea", "hill"), ("moon", "moon"), ("rain", "the lamp"), ("door", "leaf is fish")]
    expected = []
    for one, other in pairs:
        tokens = made.tokenizer(f"is it {one}", f"is it {other}", return_tensors="pt")
        with torch.no_grad():
            expected.append(int(made.network(**tokens).logits.argmax()) == 2)
    assert made.entails("is it", pairs).tolist() == expected
    assert isinstance(made, Entailment)


def test_models_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="2 outputs"):
        CrossSimilarity(network(["a", "b"]), words(), "tiny")
    with pytest.raises(InputError, match="labels a, b"):
        CrossEntailment(network(["a", "b"]), words(), "tiny")
    with pytest.raises(InputError, match="64 tokens"):
        CrossSimilarity(network(["like"]), words(), "tiny").similarities([("z" * 60, "q" * 60)])


def test_a_setting_names_its_models_by_id_or_folder(tmp_path: Path) -> None:
    folder = tmp_path / "like"
    made = network(["like"])
    made.save_pretrained(folder)
    words().save_pretrained(folder)
    plain = Setting(Scripted(lambda _: "x"), tmp_path)
    assert chosen(plain) == (None, None)
    similarity, entailment = chosen(replace(plain, similarity=str(folder)))
    assert entailment is None
    assert similarity is not None
    pairs = [("sea", "the sea and hill"), ("moon", "rain")]
    expected = CrossSimilarity(made, words(), "tiny").similarities(pairs)
    np.testing.assert_allclose(similarity.similarities(pairs), expected, atol=1e-6)
    with pytest.raises(InputError, match="nowhere"):
        chosen(replace(plain, entailment=str(tmp_path / "nowhere")))
