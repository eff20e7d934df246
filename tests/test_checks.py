"""Self-checks: each law fails when what it guards is broken, and then refuses by name."""

import dataclasses
import math
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import families
import pytest
import torch
import toy as toys
from torch import Tensor, nn

from repalign import checks
from repalign.activations import collect
from repalign.architectures import main_tensor
from repalign.checks.readings import worst
from repalign.errors import CheckError
from repalign.examples import Example
from repalign.models import LanguageModel, hooking
from repalign.models.hooking import attached
from repalign.sites import Site
from repalign.storage import write_json

NAMES = ["padding", "prefixes", "sites", "sums", "middle", "heads", "spans", "identity", "applied"]
ROWS = [Example.of_text("the sea is true", 1), Example.of_text("the sea is false", 0)]


def _failed(model: LanguageModel) -> dict[str, checks.Outcome]:
    return {outcome.name: outcome for outcome in checks.run(model).failed()}


def _fresh(name: str) -> LanguageModel:
    """A family's model whose architecture may be changed; its weights are shared."""
    shared = families.model(name)
    return LanguageModel(shared.network, shared.tokenizer, name)


def test_a_sound_model_passes_all(toy: LanguageModel) -> None:
    report = checks.run(toy)
    assert [outcome.name for outcome in report.outcomes] == NAMES
    assert report.failed() == []
    inside = ("resid_mid", "attn_out", "mlp_out")
    concerned = {outcome.name: outcome.streams for outcome in report.outcomes if outcome.streams}
    assert concerned == {"sums": inside, "middle": inside, "heads": ("heads",)}


def test_padding_sees_absolute_positions_that_are_not_given() -> None:
    model = _fresh("gpt2")
    assert "padding" not in _failed(model)
    blind = frozenset(model.architecture.forward_names - {"position_ids"})
    model.architecture = dataclasses.replace(model.architecture, forward_names=blind)
    outcome = _failed(model)["padding"]
    assert outcome.error > 0.1
    assert "left-padded" in outcome.note


def test_padding_sees_padding_that_is_attended_to(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = toy.network.forward

    def forward(*args: Any, attention_mask: Tensor, **kwargs: Any) -> Any:
        return plain(*args, attention_mask=torch.ones_like(attention_mask), **kwargs)

    monkeypatch.setattr(toy.network, "forward", forward)
    assert "padding" in _failed(toy)


def test_sites_sees_a_block_that_returns_something_else_first(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooking, "main_tensor", lambda output: main_tensor(output) * 1.001)
    failed = _failed(toy)
    assert 0 < failed["sites"].error < 0.1


def test_sites_sees_blocks_inside_the_blocks(toy: LanguageModel) -> None:
    blocks: Any = toy.architecture.layers
    inner = nn.ModuleList(block.mlp for block in blocks)
    toy.architecture = dataclasses.replace(toy.architecture, layers=inner)
    assert "sites" in _failed(toy)


def test_sites_sees_blocks_in_another_order(toy: LanguageModel) -> None:
    turned = nn.ModuleList(reversed(list(toy.architecture.layers)))
    toy.architecture = dataclasses.replace(toy.architecture, layers=turned)
    failed = _failed(toy)
    assert "sites" in failed
    assert failed["sites"].error > 0.01


def test_sums_sees_a_module_that_is_not_what_is_added() -> None:
    model = _fresh("gemma2")
    assert _failed(model) == {}
    # The guess for a family that is not in the table: attention before its second norm.
    model.architecture = dataclasses.replace(model.architecture, family="gemma9")
    assert set(_failed(model)) == {"sums"}
    checks.ensure(model, model.sites())
    checks.ensure(model, model.sites("heads"))
    with pytest.raises(CheckError, match="sums"):
        checks.ensure(model, [Site(0, "mlp_out")])


def test_middle_sees_blocks_that_have_none() -> None:
    model = _fresh("phi")
    assert _failed(model) == {}
    model.architecture = dataclasses.replace(model.architecture, parallel=False)
    assert "resid_mid" in model.architecture.streams
    failed = _failed(model)
    assert set(failed) == {"middle"}
    assert "side by side" in failed["middle"].note


class _Beside(nn.Module):
    """Attention that makes something else of what its projection puts out."""

    def __init__(self, attention: Any, times: float, past: float) -> None:
        super().__init__()
        self.inner, self.o_proj = attention, attention.o_proj
        self.times, self.past = times, past

    def forward(self, hidden_states: Tensor, **options: Any) -> Any:
        out, *rest = self.inner(hidden_states, **options)
        return (self.times * out + self.past * hidden_states, *rest)


@pytest.mark.parametrize(("times", "past"), [(1.0, 0.1), (1.5, 0.0)])
def test_heads_sees_what_the_projection_does_not_make(
    toy: LanguageModel, times: float, past: float
) -> None:
    block: Any = toy.architecture.layers[2]
    block.self_attn = _Beside(block.self_attn, times, past)
    failed = _failed(toy)
    assert set(failed) == {"heads"}
    assert failed["heads"].error > 0.01
    toy.checked = None
    checks.ensure(toy, [Site(2, "attn_out"), Site(2)])
    with pytest.raises(CheckError, match=r"heads .*allow_failed=\['heads'\]"):
        checks.ensure(toy, [Site(0, "heads")])


def test_heads_sees_that_what_is_written_there_does_nothing(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _writing(monkeypatch, lambda _: lambda _: None):
        outcome = _failed(toy)["heads"]
    assert "projection 0.0e+00" in outcome.note
    assert outcome.error > 0.1


def test_heads_of_which_each_process_has_a_part_stop_only_those_who_read_them(
    toy: LanguageModel,
) -> None:
    block: Any = toy.architecture.layers[1]
    block.self_attn.o_proj.in_features = 64
    failed = _failed(toy)
    assert set(failed) == {"heads"}
    assert failed["heads"].error == math.inf
    assert "expected [batch pos 64]" in failed["heads"].note


def test_spans_sees_a_template_that_repeats_the_users_words(toy: LanguageModel) -> None:
    twice = toys.TEMPLATE.replace("m.content +", "m.content + ' ' + m.content +")
    toy.tokenizer.chat_template = twice
    outcome = _failed(toy)["spans"]
    assert outcome.error == 2
    assert "repeats it 2 times" in outcome.note


def test_spans_sees_a_tokenizer_that_reports_wrong_characters(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = type(toy.tokenizer).__call__

    def shifted(self: Any, *args: Any, **kwargs: Any) -> Any:
        encoding = plain(self, *args, **kwargs)
        if "offset_mapping" in encoding:
            ends = encoding["offset_mapping"]
            encoding["offset_mapping"] = [[(0, 0), *text[:-1]] for text in ends]
        return encoding

    monkeypatch.setattr(type(toy.tokenizer), "__call__", shifted)
    assert "user reads" in _failed(toy)["spans"].note


def test_a_tokenizer_without_template_reads_plain_texts(toy: LanguageModel) -> None:
    toy.tokenizer.chat_template = None
    outcome = next(o for o in checks.run(toy).outcomes if o.name == "spans")
    assert outcome.passed
    assert "no chat template" in outcome.note


@contextmanager
def _writing(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Any:
    """Let what every writer does be changed, as a faulty hook would."""
    from repalign.models import language_model

    def faulty(architecture: Any, functions: Any, *, first: bool) -> Any:
        if first:
            functions = {site: change(function) for site, function in functions.items()}
        return attached(architecture, functions, first=first)

    with monkeypatch.context() as patch:
        patch.setattr(language_model, "attached", faulty)
        yield


def test_applied_sees_hooks_that_skip_cached_steps(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def skip(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: function(x) if x.shape[1] > 1 else None

    with _writing(monkeypatch, skip):
        failed = _failed(toy)
    assert set(failed) == {"applied"}


def test_applied_sees_hooks_that_write_one_row_only(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_row(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: torch.cat([function(x)[:1], x[1:]])

    with _writing(monkeypatch, one_row):
        failed = _failed(toy)
    assert failed["applied"].error == math.inf
    assert "12 of 16 decoded tokens were not reached" in failed["applied"].note


def test_identity_sees_writing_that_rounds(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounding(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: function(x).bfloat16().float()

    with _writing(monkeypatch, rounding):
        failed = _failed(toy)
    assert 0 < failed["identity"].error < 1


def _plant_nan(model: LanguageModel) -> None:
    with torch.no_grad():
        model.network.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")


def test_nan_is_within_no_tolerance(toy: LanguageModel) -> None:
    _plant_nan(toy)
    failed = _failed(toy)
    assert {"padding", "sites", "sums", "identity", "applied"} <= set(failed)
    for name in ("padding", "sites", "sums", "identity"):
        assert math.isnan(failed[name].error)


@pytest.mark.parametrize("errors", [[0.0, math.nan], [math.nan, 0.0], [1.0, math.nan, 2.0]])
def test_the_worst_of_errors_with_nan_is_nan(errors: list[float]) -> None:
    assert math.isnan(worst(errors))
    assert worst([]) == 0.0
    assert worst([1.0, 3.0, 2.0]) == 3.0


def test_a_refusal_names_law_error_and_override(toy: LanguageModel) -> None:
    _plant_nan(toy)
    with pytest.raises(CheckError) as refused:
        collect(toy, ROWS, [Site(0)])
    message = str(refused.value)
    assert "toy fails 4 self-check(s)" in message
    assert "padding (rows of a ragged batch read as each text alone): error nan" in message
    assert "allow_failed=['padding', 'sites', 'identity', 'applied']" in message


def test_a_named_override_goes_on_and_only_for_what_it_names() -> None:
    words = toys.tokenizer()
    broken = toys.network(words)
    allowed = ["padding", "sites", "identity", "applied"]
    model = LanguageModel(broken, words, "toy", allow_failed=allowed)
    _plant_nan(model)
    read = collect(model, ROWS, [Site(0)])
    assert len(read) == 2
    stored = {row["name"]: row for row in read.origin["checks"]}
    assert stored["padding"]["passed"] is False
    assert stored["padding"]["error"] is None
    assert stored["spans"]["passed"] is True
    partly = LanguageModel(broken, words, "toy", allow_failed=allowed[:-1])
    with pytest.raises(CheckError, match=r"fails 1 self-check\(s\).*\['applied'\]"):
        collect(partly, ROWS, [Site(0)])


def test_outcomes_are_stored_with_what_was_read_and_fit_into_json(
    toy: LanguageModel, tmp_path: Any
) -> None:
    stored = collect(toy, ROWS, [Site(0)]).origin["checks"]
    assert [row["name"] for row in stored] == NAMES
    assert all(row["passed"] for row in stored)
    infinite = checks.Report((checks.Outcome("applied", "law", math.inf, 0.0),))
    write_json(tmp_path / "checks.json", infinite.to_json())
    assert infinite.to_json()[0]["error"] is None


def test_checks_run_once_and_leave_the_model_as_it_was(
    toy: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.network.train()
    toy.network.model.layers[1].eval()
    modes = {name: module.training for name, module in toy.network.named_modules()}
    weights = toy.fingerprint
    report = checks.ensure(toy)
    monkeypatch.setattr(checks, "run", lambda _: pytest.fail("ran again"))
    assert checks.ensure(toy) is report
    assert modes == {name: module.training for name, module in toy.network.named_modules()}
    assert LanguageModel(toy.network, toy.tokenizer, "again").fingerprint == weights
