"""Perplexity against the model before is that of behavior, and does not move without a change."""

from pathlib import Path

import pytest
import torch
import toy as toys
from respondents import Scripted

from repalign import behavior
from repalign.answering import Local
from repalign.errors import InputError
from repalign.evaluation import Setting, perplexity
from repalign.examples import Example
from repalign.models import LanguageModel


def values(found: dict) -> dict[str, float]:
    return {name: one.value for name, one in found.items()}


def test_against_itself_nothing_moves_and_a_changed_model_does(
    toy: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The built-in conversations are longer than the toy can read.
    texts = [Example.of_chat(f"is it {n}", "the moon is", group=str(n)) for n in range(6)]
    monkeypatch.setattr(perplexity.datasets, "load", lambda *_, **__: texts)
    other = toys.model()
    alone = Setting(Local(toy), tmp_path)
    plain = perplexity.evaluate(alone).figures["perplexity"]
    assert plain == behavior.perplexity(toy, texts)
    same = values(dict(perplexity.evaluate(Setting(Local(toy), tmp_path, Local(other))).figures))
    assert same["divergence from the earlier model, nats a token"] == pytest.approx(0, abs=1e-6)
    assert same["likeliest token unchanged"] == 1
    with torch.no_grad():
        toy.network.get_output_embeddings().weight.mul_(0.5)
    moved = values(dict(perplexity.evaluate(Setting(Local(toy), tmp_path, Local(other))).figures))
    assert moved["divergence from the earlier model, nats a token"] > 0.01
    assert moved["perplexity, earlier model"] == pytest.approx(same["perplexity"])


def test_both_models_have_to_be_here(toy: LanguageModel, tmp_path: Path) -> None:
    server = Scripted(lambda _: "x")
    with pytest.raises(InputError, match="without --before-server"):
        perplexity.evaluate(Setting(Local(toy), tmp_path, server))
