"""Self-checks: laws that reading and writing a model must obey, run at its first use."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from repalign import spans
from repalign.checks.heads import heads
from repalign.checks.outcomes import Outcome as Outcome
from repalign.checks.outcomes import Report as Report
from repalign.checks.prefixes import prefixes
from repalign.checks.readings import ids, relative, worst
from repalign.errors import CheckError, InputError
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.models.compiling import uncompiled
from repalign.models.modes import evaluating
from repalign.sites import Site
from repalign.tokens import Tokens

# Relative tolerance by number format; bit-equal laws have tolerance 0 in every format.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
_PROMPT, _ANSWER = "Which sea lies there?", "The northern one."
_NEW_TOKENS = 4
# What blocks are made of; `heads` has a law of its own.
_INSIDE = ("resid_mid", "attn_out", "mlp_out")


def ensure(model: LanguageModel, sites: Sequence[Site] = ()) -> Report:
    """Run the checks at the first use of a model, and refuse one that fails.

    Args:
        model: what is about to be read or written.
        sites: where; a law about certain streams stops only those who use them.

    Returns:
        The outcomes, also on later calls.

    Raises:
        CheckError: a law fails that `LanguageModel.load(..., allow_failed=[...])` does not name.
    """
    if model.checked is None:
        model.checked = run(model)
    used = {site.stream for site in sites}
    failed = [
        outcome
        for outcome in model.checked.failed()
        if outcome.name not in model.allow_failed
        and (not outcome.streams or used & set(outcome.streams))
    ]
    if failed:
        lines = "; ".join(
            f"{o.name} ({o.law}): error {o.error:.2g}, allowed {o.tolerance:.2g}{o.note and ' - '}"
            f"{o.note}"
            for o in failed
        )
        names = ", ".join(repr(outcome.name) for outcome in failed)
        raise CheckError(
            f"{model.name} fails {len(failed)} self-check(s), so numbers read from it would mean "
            f"something else: {lines}. To go on all the same, load it with allow_failed=[{names}]."
        )
    return model.checked


def run(model: LanguageModel) -> Report:
    """Run every check on a model.

    Args:
        model: the model; it is left as it was.

    Returns:
        One outcome a law, the failed ones among them.
    """
    checks: tuple[Callable[[LanguageModel, float], Outcome], ...] = (
        _padding,
        prefixes,
        _sites,
        _sums,
        _middle,
        heads,
        _spans,
        _identity,
        _applied,
    )
    tolerance = _TOLERANCE.get(model.dtype, 5e-2)
    # Compiled code rounds otherwise than plain code, and hooks act only in the latter.
    with uncompiled(), evaluating(model.network), torch.no_grad():
        return Report(tuple(check(model, tolerance) for check in checks))


def _padding(model: LanguageModel, tolerance: float) -> Outcome:
    rows = ids(model)
    site = model.sites()[-1]
    alone = [model.capture(Tokens.pad([row], model.pad_id), [site])[site][0] for row in rows]

    def error(side: Literal["right", "left"]) -> float:
        tokens = Tokens.pad(rows, model.pad_id, side=side)
        together = model.capture(tokens, [site])[site]
        attended = tokens.attended.to(together.device)
        return worst(
            relative(together[index][attended[index]], single) for index, single in enumerate(alone)
        )

    right, left = error("right"), error("left")
    return Outcome(
        "padding",
        "rows of a ragged batch read as each text alone",
        worst((right, left)),
        tolerance,
        note=f"right-padded {right:.1e}, left-padded {left:.1e}",
    )


def _sites(model: LanguageModel, _tolerance: float) -> Outcome:
    tokens = Tokens.pad(ids(model), model.pad_id)
    seen = model.capture(tokens, model.sites())
    inputs = model.capture(tokens, model.sites("resid_pre"))
    states = model.forward(tokens, output_hidden_states=True).hidden_states
    law = "resid_post of layer L is hidden_states[L + 1], the last entry aside"
    if not states or len(states) != model.n_layers + 1:
        # Remote code may return none.
        states = list(inputs.values())
        law = "resid_post of layer L is resid_pre of layer L + 1"
    elif torch.equal(states[0], seen[Site(0)]):
        # Mamba leaves out what enters the first block.
        states = [inputs[Site(0, "resid_pre")], *states]
        law = "resid_post of layer L is hidden_states[L], the last entry aside"
    error = worst(
        float((seen[site] - states[site.layer + 1]).abs().max()) for site in model.sites()[:-1]
    )
    return Outcome("sites", law, error, 0.0)


def _sums(model: LanguageModel, tolerance: float) -> Outcome:
    law = "resid_pre + attn_out + mlp_out is resid_post"
    if not {"attn_out", "mlp_out"} <= set(model.architecture.streams):
        return Outcome("sums", law, 0.0, tolerance, _INSIDE, "this family has no such streams")
    tokens = Tokens.pad(ids(model), model.pad_id)
    streams = ("resid_pre", "attn_out", "mlp_out", "resid_post")
    seen = model.capture(tokens, [site for stream in streams for site in model.sites(stream)])

    def error(layer: int) -> float:
        pre, attention, mlp, post = (seen[Site(layer, stream)] for stream in streams)
        return relative(pre + attention + mlp, post)

    return Outcome("sums", law, worst(map(error, range(model.n_layers))), tolerance, _INSIDE)


def _middle(model: LanguageModel, _tolerance: float) -> Outcome:
    law = "the MLP reads resid_mid: what is written there changes mlp_out"
    if "resid_mid" not in model.architecture.streams:
        return Outcome("middle", law, 0.0, 0.0, _INSIDE, "this family has no such stream")
    tokens = Tokens.pad(ids(model), model.pad_id)
    # One layer answers for all: side by side or one after the other is a habit of the family.
    layer = model.n_layers // 2
    here, after = Site(layer, "resid_mid"), Site(layer, "mlp_out")
    plain = model.capture(tokens, [after])[after]
    with model.hooked({here: _push(model, tokens, here)}):
        moved = model.capture(tokens, [after])[after]
    unmoved = int((plain == moved).all(dim=-1)[tokens.attended.to(plain.device)].sum())
    note = f"{unmoved} tokens did not change: attention and MLP run side by side" if unmoved else ""
    return Outcome("middle", law, float(unmoved), 0.0, _INSIDE, note)


def _spans(model: LanguageModel, _tolerance: float) -> Outcome:
    law = "the tokens of a span are those of its text"
    if model.tokenizer.chat_template is None:
        return Outcome("spans", law, 0.0, 0.0, note="no chat template: plain texts only")
    example = Example.of_chat(_PROMPT, _ANSWER)
    wrong = []
    for name, wanted in (("user", _PROMPT), ("answer", _ANSWER)):
        try:
            reading = spans.read(model.tokenizer, example, spans.Span.parse(name))
        except InputError as error:
            wrong.append(f"{name}: {error}")
            continue
        text = model.tokenizer.decode([reading.ids[pos] for pos in reading.positions])
        if text.strip() != wanted:
            wrong.append(f"{name} reads {text!r}")
    return Outcome("spans", law, float(len(wrong)), 0.0, note="; ".join(wrong))


def _identity(model: LanguageModel, _tolerance: float) -> Outcome:
    tokens = Tokens.pad(ids(model), model.pad_id)
    plain = model.logits(tokens)
    zero = {site: lambda tensor: tensor + 0 * tensor for site in model.sites()}
    with model.hooked(zero):
        written = model.logits(tokens)
    error = float((written - plain).abs().max())
    return Outcome("identity", "writing with coefficient 0 leaves the logits bit-equal", error, 0.0)


def _push(model: LanguageModel, tokens: Tokens, site: Site) -> Callable[[Tensor], Tensor]:
    """A writing that adds the same random vector everywhere, as long as states there are."""
    size = float(model.capture(tokens, [site])[site].float().norm(dim=-1).mean())
    push = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    push = push / push.norm() * size
    return lambda tensor: tensor + push.to(tensor.device, tensor.dtype)


def _applied(model: LanguageModel, tolerance: float) -> Outcome:
    tokens = Tokens.pad(ids(model), model.pad_id, side="left").to(model.device)
    site = model.sites()[model.n_layers // 2]

    def decode(cached: bool) -> tuple[Tensor, Tensor]:
        out = model.network.generate(
            input_ids=tokens.ids,
            attention_mask=tokens.attended.long(),
            max_new_tokens=_NEW_TOKENS,
            min_new_tokens=_NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            use_cache=cached,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return torch.stack(out.logits, dim=1), out.sequences[:, tokens.ids.shape[1] :]

    plain, _ = decode(cached=True)
    with model.hooked({site: _push(model, tokens, site)}):
        (cached, words), (whole, other_words) = decode(cached=True), decode(cached=False)
    moved = (cached - plain).abs().amax(dim=-1)
    still = int((moved == 0).sum())
    # Rounding may turn a near tie into another token; what follows it is another text.
    same = torch.ones_like(words, dtype=torch.bool)
    same[:, 1:] = (words == other_words).cumprod(dim=1)[:, :-1].bool()
    error = float("inf") if still else relative(cached[same], whole[same])
    note = f"{still} of {moved.numel()} decoded tokens were not reached" if still else ""
    law = "a writing reaches every decoded token, with the cache as without"
    return Outcome("applied", law, error, tolerance, note=note)
