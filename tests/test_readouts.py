"""Readouts: a saved probe scores as the fitted one did, and only the model it was fitted on."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy as toys

from probes import LogisticRegression
from repalign.activations import Activations, collect, mean_by_example, origin
from repalign.errors import InputError
from repalign.examples import Example
from repalign.fitting import fit_probe
from repalign.models import LanguageModel
from repalign.readouts import Readout, ensemble
from repalign.sites import Site
from repalign.spans import Span

SITES = (Site(1), Site(3))


@pytest.fixture
def read(toy: LanguageModel) -> Activations:
    return collect(toy, toys.statements(), SITES)


@pytest.fixture
def readout(read: Activations) -> Readout:
    members = []
    for site in SITES:
        fitted = fit_probe(LogisticRegression(), read, site)
        members.append((site, fitted.coef_[0], float(fitted.intercept_[0])))
    return ensemble(members, Span(), read.origin)


def test_an_ensemble_is_the_sum_of_its_members(read: Activations, readout: Readout) -> None:
    wanted = np.zeros(len(read))
    for site in SITES:
        wanted += fit_probe(LogisticRegression(), read, site).decision_function(read.at(site))
    assert readout.score(read) == pytest.approx(wanted, rel=1e-5)
    assert ((readout.score(read) > 0) == (read.labels == 1)).all()


def test_sites_are_matched_by_name_not_by_place(read: Activations, readout: Readout) -> None:
    turned = read.only([Site(3), Site(1)])
    assert readout.score(turned).tolist() == readout.score(read).tolist()
    with pytest.raises(InputError, match=r"L3\.resid_post was not collected"):
        readout.score(read.only([Site(1)]))


def test_a_readout_comes_back_bit_for_bit(
    read: Activations, readout: Readout, tmp_path: Path
) -> None:
    threshold = float(np.float64(0.1) + np.float64(0.2))
    readout.with_threshold(threshold).save(tmp_path)
    again = Readout.load(tmp_path)
    assert again.score(read).tobytes() == readout.score(read).tobytes()
    assert (again.sites, again.span, again.threshold) == (SITES, Span(), threshold)
    assert json.dumps(dict(again.origin)) == json.dumps(dict(readout.origin))
    assert Readout.load(tmp_path / "probe.json").sites == SITES
    readout.save(tmp_path / "without")
    assert Readout.load(tmp_path / "without").threshold is None


def test_a_span_with_an_argument_comes_back(readout: Readout, tmp_path: Path) -> None:
    replace(readout, span=Span("regex", r"is (\w+)")).save(tmp_path)
    assert Readout.load(tmp_path).span == Span("regex", r"is (\w+)")


def test_its_own_model_is_accepted_and_another_refused(
    toy: LanguageModel, readout: Readout
) -> None:
    readout.check_model(toy)
    readout.check_model(toys.model("the same weights under another name"))
    words = toys.tokenizer()
    network: Any = toys.network(words)
    network.model.layers[3].mlp.down_proj.weight.data *= 1.01
    with pytest.raises(InputError, match=r"fitted on toy with weights .*; other has weights"):
        readout.check_model(LanguageModel(network, words, "other"))
    words = toys.tokenizer()
    words.chat_template = toys.TEMPLATE.replace("assistant", "model")
    with pytest.raises(InputError, match="with tokenizer"):
        readout.check_model(LanguageModel(toys.network(words), words, "other"))


def test_width_and_sites_are_checked_even_without_an_origin(
    toy: LanguageModel, readout: Readout
) -> None:
    unknown = replace(readout, origin={})
    unknown.check_model(toy)
    with pytest.raises(InputError, match="width 16; toy has 32"):
        replace(unknown, coef=unknown.coef[:, :16]).check_model(toy)
    with pytest.raises(InputError, match=r"no site L9"):
        replace(unknown, sites=(Site(1), Site(9))).check_model(toy)


def test_other_files_are_refused(readout: Readout, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no probe"):
        Readout.load(tmp_path)
    stranger = tmp_path / "probe.pkl"
    stranger.write_bytes(pickle.dumps([1.0]))
    with pytest.raises(InputError, match="looks like a pickle"):
        Readout.load(stranger)
    readout.save(tmp_path)
    (tmp_path / "probe.safetensors").write_bytes(pickle.dumps([1.0]))
    with pytest.raises(InputError, match="looks like a pickle"):
        Readout.load(tmp_path)
    (tmp_path / "probe.json").write_text('{"format": "repalign.readout/9"}')
    with pytest.raises(InputError, match=r"format 'repalign.readout/9'; this version reads"):
        Readout.load(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_must_be_finite_and_belong_to_sites(readout: Readout, bad: float) -> None:
    coef = readout.coef.copy()
    coef[0, 0] = bad
    with pytest.raises(InputError, match="must be finite"):
        replace(readout, coef=coef)
    with pytest.raises(InputError, match="must be finite"):
        replace(readout, intercept=float(bad))
    with pytest.raises(InputError, match="1 rows of weights for 2 sites"):
        replace(readout, coef=readout.coef[:1])


def test_rows_of_a_text_are_averaged(toy: LanguageModel, readout: Readout) -> None:
    rows = [Example.of_text("the sea is true"), Example.of_text("the moon and the hill is false")]
    read = collect(toy, rows, SITES, "all")
    scores = readout.score(read)
    by_hand = [scores[read.example == index].mean() for index in (0, 1)]
    assert mean_by_example(scores, read.example).tolist() == pytest.approx(by_hand)
    assert mean_by_example(np.array([1.0, 5.0, 3.0]), np.array([4, 2, 4])).tolist() == [5.0, 2.0]


def test_the_origin_names_what_determines_a_reading(toy: LanguageModel) -> None:
    found = origin(toy, Span("answer"))
    assert found["weights"] == toy.fingerprint
    assert (found["span"], found["d_model"], found["dtype"]) == ("answer", 32, "float32")
