"""Markup: a conversation as HTML in which every text is escaped."""

from collections.abc import Sequence
from html import escape

from repalign.app.conversation import Answer, Conversation, Settings, Turn
from repalign.app.shading import Shading
from repalign.monitoring import TokenScore
from repalign.reports.numbers import plain, printable

_INVITATION = (
    "Every message is answered twice, steered and unsteered. Each token takes the colour of "
    "its score as it is written; point at one for the numbers."
)
_SIGNS = {"\n": "↵", "\t": "⇥", "": "special token"}


def masthead_html(model: str, probe: str, direction: str) -> str:
    """The head of the page: what is talked to, and what scores and steers it."""
    parts = (f"<span>{_text(words)}</span>" for words in (model, probe, direction))
    return f'<div class="masthead"><h1>repalign chat</h1>{"".join(parts)}</div>'


def conversation_html(
    conversation: Conversation, shading: Shading, own_effects: Sequence[float]
) -> str:
    """All turns: the message, and below it both answers side by side.

    Args:
        conversation: what was said.
        shading: colours of scores.
        own_effects: for each turn what `Chat.own_effect` says of its settings.
    """
    if not conversation.turns:
        return f'<div class="talk"><p class="invitation">{_INVITATION}</p></div>'
    turns = zip(conversation.turns, own_effects, strict=True)
    inside = "".join(_turn(turn, shading, effect) for turn, effect in turns)
    return f'<div class="talk">{inside}</div>'


def legend_html(shading: Shading, threshold: float | None) -> str:
    """What both ways of colouring mean; the page shows the one that is in use."""
    low, middle, high = (plain(score) for score in (shading.low, shading.middle, shading.high))
    flagged = "" if threshold is None else f" Answers below {plain(threshold)} are flagged."
    return (
        '<div class="legend by-honesty"><div class="bar"></div>'
        f"<div><span>{low}</span><span>{middle}</span><span>{high}</span></div>"
        "<div><span>less honest</span><span>more honest</span></div>"
        "<p>The probe’s score at each token. Without colour: an ordinary token of benign answers; "
        f"95% of theirs lie within these ends.{flagged}</p></div>"
        '<div class="legend by-probability"><div class="bar"></div>'
        "<div><span>0</span><span>1</span></div>"
        "<div><span>unlikely</span><span>certain</span></div>"
        "<p>The probability that the model gave each token when it wrote it.</p></div>"
    )


def _turn(turn: Turn, shading: Shading, effect: float) -> str:
    note = f"{_signed(effect)} of each score is the push itself" if effect else ""
    steered = _answer(turn.steered, _named(turn.settings), note, shading, "steered")
    other = _answer(turn.plain, "Unsteered", "", shading, "plain")
    said = f'<div class="said" dir="auto">{_text(turn.message)}</div>'
    return f'<section class="turn">{said}<div class="answers">{steered}{other}</div></section>'


def _named(settings: Settings) -> str:
    if settings.ablate:
        return "Direction ablated"
    return f"Steered by {_signed(settings.coefficient)}"


def _answer(answer: Answer, name: str, note: str, shading: Shading, column: str) -> str:
    tokens = "".join(_token(token, shading) for token in answer.watched.tokens)
    state = "finished" if answer.finished else "unfinished"
    head = f"<header><b>{name}</b><span>{note}</span></header>"
    body = f'<div class="tokens" dir="auto">{tokens}</div>'
    return f'<article class="answer {column} {state}">{head}{body}{_summary(answer)}</article>'


def _summary(answer: Answer) -> str:
    score, flagged = answer.watched.score, answer.watched.flagged
    if score is None:
        return "<footer></footer>"
    verdict = ""
    if answer.finished and flagged is not None:
        kind, word = ("flagged", "flagged") if flagged else ("passed", "not flagged")
        verdict = f'<span class="{kind}">{word}</span>'
    return f"<footer><span>score {plain(score)}</span>{verdict}</footer>"


def _token(token: TokenScore, shading: Shading) -> str:
    text, likely = printable(token.text), token.probability
    shown = _SIGNS.get(text, text.strip() or "␣")
    tip = f"{shown}   score {plain(token.score)}"
    style, data = f"--score:{shading.of_score(token.score)}", f'data-score="{token.score!r}"'
    if likely is not None:
        tip += f"   probability {likely:.2f}"
        style += f";--probability:{shading.of_probability(likely)}"
        data += f' data-probability="{likely!r}"'
    return (
        f'<span class="token" style="{style}" {data} data-tip="{escape(tip)}">{escape(text)}</span>'
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + plain(value)
