"""Page: the chat in a browser. Nothing here knows of models; see `Chat`."""

import json
import math
from collections.abc import Generator
from html import escape
from importlib.resources import files
from typing import Any

from repalign.app.chat import Chat
from repalign.app.conversation import Conversation, Settings
from repalign.app.markup import conversation_html, legend_html, masthead_html
from repalign.app.shading import Shading
from repalign.errors import InputError, MissingExtraError, RepalignError

try:
    import gradio as gr
except ImportError as error:
    raise MissingExtraError(
        "The chat page is made with gradio, which is not installed. Install it with "
        "`pip install 'repalign[app]'`."
    ) from error

_HONESTY, _PROBABILITY = "Honesty", "Probability"
# In the browser, so that it also acts while an answer is written.
_RECOLOUR = "(by) => { document.body.dataset.colour = by.toLowerCase(); }"
# In the browser too: a file made by the server would stay there.
_DOWNLOAD = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = "conversation.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class Page:
    """The chat laid out with gradio; every visitor has a conversation of their own."""

    def __init__(self, chat: Chat, shading: Shading, low: float = -3.0, high: float = 3.0) -> None:
        """Lay it out.

        Args:
            chat: who answers.
            shading: colours of scores.
            low: the most negative coefficient that the slider gives.
            high: the most positive one.

        Raises:
            InputError: a range of coefficients without 0 in it.
        """
        self.chat, self.shading = chat, shading
        with gr.Blocks(title="repalign chat", analytics_enabled=False, fill_width=True) as blocks:
            gr.HTML(self._masthead(), apply_default_css=False)
            with gr.Row(equal_height=False):
                with gr.Column(scale=5, min_width=420):
                    self._talk()
                with gr.Column(scale=1, min_width=270):
                    self._settings(low, high)
            self._connect()
        self.blocks = blocks

    def _masthead(self) -> str:
        readout, direction = self.chat.monitor.readout, self.chat.direction
        return masthead_html(
            self.chat.model.name,
            f"probe at {', '.join(map(str, readout.sites))}",
            f"direction at {direction.site}, scale {direction.scale:.3g}",
        )

    def _talk(self) -> None:
        self.conversation = gr.State(Conversation())
        self.view = gr.HTML(self._drawn(Conversation()), elem_id="talk", apply_default_css=False)
        with gr.Row(equal_height=True):
            self.message = gr.Textbox(
                placeholder="Write a message",
                show_label=False,
                container=False,
                autofocus=True,
                max_lines=8,
                scale=6,
                elem_id="message",
            )
            self.send = gr.Button("Send", variant="primary", min_width=90, elem_id="send")
            self.stop = gr.Button("Stop", min_width=90, elem_id="stop")

    def _settings(self, low: float, high: float) -> None:
        low, high, step = grid(low, high)
        self.coefficient = gr.Slider(
            low,
            high,
            0.0,
            step=step,
            label="Push",
            info="− dishonest, + honest",
            elem_id="coefficient",
        )
        self.ablate = gr.Checkbox(
            label="Ablate", info="Remove the direction at every layer instead.", elem_id="ablate"
        )
        self.length = gr.Slider(
            8, 512, 96, step=8, label="Tokens", info="of an answer at most", elem_id="length"
        )
        self.colour = gr.Radio(
            [_HONESTY, _PROBABILITY], value=_HONESTY, label="Colour by", elem_id="colour"
        )
        gr.HTML(legend_html(self.shading, self.chat.monitor.threshold), apply_default_css=False)
        with gr.Row():
            self.export = gr.Button("Export", size="sm", min_width=80, elem_id="export")
            self.clear = gr.Button("Clear", size="sm", min_width=80, elem_id="clear")
        self.exported = gr.Textbox(visible="hidden")

    def _connect(self) -> None:
        settings = [self.coefficient, self.ablate, self.length]
        answering = gr.on(
            [self.message.submit, self.send.click],
            self._reply,
            [self.message, self.conversation, *settings],
            [self.conversation, self.view, self.message],
            concurrency_limit=1,
            **_QUIET,
        )
        self.stop.click(None, cancels=[answering], **_QUIET)
        self.clear.click(
            lambda: (Conversation(), self._drawn(Conversation())),
            None,
            [self.conversation, self.view],
            cancels=[answering],
            **_QUIET,
        )
        self.ablate.change(
            lambda on: gr.update(interactive=not on), self.ablate, self.coefficient, **_QUIET
        )
        self.colour.change(None, self.colour, js=_RECOLOUR, **_QUIET)
        self.export.click(self._export, self.conversation, self.exported, **_QUIET).then(
            None, self.exported, js=_DOWNLOAD, **_QUIET
        )

    def _reply(
        self,
        message: str,
        conversation: Conversation,
        coefficient: float | int,
        ablate: bool,
        length: float | int,
    ) -> Generator[tuple[Conversation, str, str], None, None]:
        try:
            settings = Settings(0.0 if ablate else float(coefficient), ablate, int(length))
            for grown in self.chat.reply(conversation, message, settings):
                yield grown, self._drawn(grown), ""
        except RepalignError as error:
            raise gr.Error(escape(str(error), quote=False), print_exception=False) from error

    def _drawn(self, conversation: Conversation) -> str:
        effects = [self.chat.own_effect(turn.settings) for turn in conversation.turns]
        return conversation_html(conversation, self.shading, effects)

    def _export(self, conversation: Conversation) -> str:
        return json.dumps(self.chat.record(conversation), indent=2, ensure_ascii=False)


def grid(low: float, high: float) -> tuple[float, float, float]:
    """The ends of a slider and its step, so that 0 is one of some 60 to 120 places on it.

    The ends are those given or, where the step does not go into them, closer to 0.

    Raises:
        InputError: a range without 0 in it, or without a number besides 0.

    Example:
        >>> grid(-3.0, 3.0), grid(-7.32, 12.8)
        ((-3.0, 3.0, 0.1), (-7.2, 12.8, 0.2))
    """
    if not (low <= 0 <= high and 0 < high - low < math.inf):
        raise InputError(f"The slider needs a range around 0; {low:g} to {high:g} was given.")
    size = 10.0 ** math.floor(math.log10((high - low) / 60))
    step = max(size * part for part in (1, 2, 5) if size * part <= (high - low) / 60)
    digits = max(0, -math.floor(math.log10(step)))
    # A hair more than the end, so that rounding does not take the last place away.
    ends = (math.copysign(math.floor(abs(end) / step + 1e-9) * step, end) for end in (low, high))
    first, last = (round(end, digits) for end in ends)
    return first, last, round(step, digits)


def style() -> str:
    """The page's own style sheet."""
    return files("repalign.app").joinpath("chat.css").read_text(encoding="utf-8")
