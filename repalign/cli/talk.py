"""A chat in the terminal, with every token in the colour of its score."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.style import Style
from rich.text import Text

from repalign.cli.output import out
from repalign.errors import InputError
from repalign.examples import Example, Message

if TYPE_CHECKING:
    from repalign.monitoring import Monitor, TokenScore, Watched

# Between grey and the colours of a report, both bright enough for light and dark terminals.
_PLAIN, _HIGH, _LOW = (140, 140, 140), (40, 145, 215), (225, 95, 5)
_HELP = "/quit ends, /new begins another conversation, Ctrl-C stops an answer."


def talk(watch: "Monitor", generation: Mapping[str, Any]) -> "tuple[list[Example], list[Watched]]":
    """Talk until the user ends it.

    Args:
        watch: scores the answers; colours are those of its calibration.
        generation: options of `Monitor.stream`.

    Returns:
        What the model was asked each time, and its answers.
    """
    asked: list[Example] = []
    answers: list[Watched] = []
    turns: list[Message] = []
    out.print(f"[bold]{escape(watch.model.name)}[/bold]  {_HELP}")
    while (words := _listen()) is not None:
        if words == "/new":
            turns = []
            continue
        if not words:
            continue
        prompt = [*turns, Message("user", words)]
        try:
            watched = _answer(watch, prompt, generation)
        except InputError as error:
            out.print(f"[red]{escape(str(error))}[/red] {_HELP}")
            continue
        asked.append(Example(tuple(prompt)))
        answers.append(watched)
        if watched.text.strip():
            turns = [*prompt, Message("assistant", watched.text)]
    return asked, answers


def _listen() -> str | None:
    try:
        words = out.input("\n[bold]you>[/bold] ").strip()
    except (EOFError, KeyboardInterrupt):
        return None
    return None if words in ("/quit", "/exit") else words


def _answer(watch: "Monitor", prompt: list[Message], generation: Mapping[str, Any]) -> "Watched":
    tokens: list[TokenScore] = []
    stream = watch.stream(prompt, **generation)
    try:
        for token in stream:
            tokens.append(token)
            out.print(_coloured(watch, token, tokens), end="", soft_wrap=True)
    except KeyboardInterrupt:
        out.print(" [dim](stopped)[/dim]", end="")
    finally:
        stream.close()
    watched = watch.judge(tokens)
    out.print(f"\n{_summary(watch, watched)}")
    return watched


def _coloured(watch: "Monitor", token: "TokenScore", seen: "list[TokenScore]") -> Text:
    found = watch.calibration
    if found is None:
        middle, spread = 0.0, max(abs(t.score) for t in seen)
    else:
        middle, spread = found.token_median, found.token_spread
    share = (token.score - middle) / spread if spread else 0.0
    strength, end = min(1.0, abs(share)), _HIGH if share >= 0 else _LOW
    mixed = (round(a + (b - a) * strength) for a, b in zip(_PLAIN, end, strict=True))
    below = found is not None and token.counted and token.score < found.token_threshold
    # Not by colour alone: what lies below the threshold of tokens is underlined.
    style = Style(color="rgb({},{},{})".format(*mixed), underline=below)
    return Text(_printable(token.text), style if token.counted else style + Style(dim=True))


def _summary(watch: "Monitor", watched: "Watched") -> str:
    if watched.score is None:
        return "[dim]no words to score[/dim]"
    verdict = ""
    if watched.flagged is not None:
        verdict = f", {'[bold]below[/bold]' if watched.flagged else 'not below'} the threshold "
        verdict += f"{watch.threshold:.4g}"
    known = [token.probability for token in watched.tokens if token.probability is not None]
    return (
        f"[dim]{watch.aggregate} of {sum(t.counted for t in watched.tokens)} tokens "
        f"{watched.score:.4g}{verdict}; mean probability {sum(known) / len(known):.2f}[/dim]"
    )


def _printable(text: str) -> str:
    """Without control characters: a model may write codes that move a terminal's cursor."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
