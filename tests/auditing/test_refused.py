"""Audits that could mean nothing are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import audited
import pytest
import toy as toys

from repalign import datasets
from repalign.auditing import (
    Family,
    audit,
)
from repalign.auditing.twins import check_tokens
from repalign.directions import Direction
from repalign.errors import InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site


def direction(layer: int = 2, **origin: Any) -> Direction:
    return Direction(toys.direction().numpy(), Site(layer), 0.0, 4.0, origin)


@pytest.fixture(scope="module")
def made() -> tuple[Family, Family]:
    return audited.own_families(toys.model(), [audited.planted()])


@pytest.fixture
def given(made: tuple[Family, Family]) -> dict[str, Any]:
    selection, report = made
    return {
        "loss": [audited.planted()],
        "selection": selection,
        "report": report,
        "texts": audited.texts(),
        "benign": audited.benign(),
        "suites": (),
    }


def _one_class(given: dict[str, Any]) -> None:
    given["texts"] = [one for one in given["texts"] if one.label == 1]


def _no_labels(given: dict[str, Any]) -> None:
    given["texts"] = [Example(one.messages) for one in given["texts"]]


def _seen_texts(given: dict[str, Any]) -> None:
    origin = {"data": {"mine": datasets.fingerprint(given["texts"])}, "probe": "TTPD()"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


def _of_other_weights(given: dict[str, Any]) -> None:
    origin = {**given["loss"][0].origin, "weights": "0123"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


def _unreadable_benign(given: dict[str, Any]) -> None:
    origin = {**given["loss"][0].origin, "span": "regex:true|false"}
    given["loss"] = [replace(given["loss"][0], origin=origin)]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_one_class, "examples of both labels"),
        (_no_labels, "have no label"),
        (_seen_texts, "family loss was fitted on, so its scores on them would flatter"),
        (_of_other_weights, "fitted on None with weights 0123"),
        (_unreadable_benign, "benign texts that the threshold of the family loss"),
    ],
)
def test_an_audit_that_could_mean_nothing_is_refused(
    toy: LanguageModel,
    given: dict[str, Any],
    tmp_path: Path,
    spoil: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    spoil(given)
    with pytest.raises(InputError, match=message):
        audit(toy, toys.model(), **given, folder=tmp_path)


def test_models_that_cannot_be_compared_are_refused(
    toy: LanguageModel, given: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="share weights in memory"):
        audit(toy, LanguageModel(toy.network, toy.tokenizer, "again"), **given, folder=tmp_path)
    other = toys.model()
    other.architecture = replace(other.architecture, d_model=16)
    with pytest.raises(InputError, match="has width 32 and toy 16"):
        audit(toy, other, **given, folder=tmp_path)


def test_other_tokens_are_refused(toy: LanguageModel) -> None:
    other = toys.model()
    other.tokenizer.chat_template = toys.TEMPLATE.replace("<|im_end|>", "")
    chat = [Example.of_chat("the sea", "the hill")]
    check_tokens(toy, other, audited.texts())
    with pytest.raises(InputError, match=r"read .* as different tokens"):
        check_tokens(toy, other, chat)
