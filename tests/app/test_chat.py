import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
import torch

from repalign.app import Chat, Conversation, Settings
from repalign.errors import InputError
from repalign.models import LanguageModel
from repalign.monitoring import Monitor
from repalign.tokens import Tokens

SHORT = Settings(max_new_tokens=6)


def said(chat: Chat, message: str, settings: Settings, so_far: Conversation) -> Conversation:
    *_, last = chat.reply(so_far, message, settings)
    return last


def logits(model: LanguageModel) -> torch.Tensor:
    return model.logits(Tokens.pad([[5, 6, 7, 8]], 0))


def hooks(model: LanguageModel) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in model.network.modules() for kind in kinds)


def test_without_steering_both_columns_are_the_same_to_the_last_bit(chat: Chat) -> None:
    (turn,) = said(chat, "the sea", SHORT, Conversation()).turns
    assert len(turn.plain.watched.tokens) == 6
    assert turn.steered == turn.plain
    assert turn.plain.finished


def test_a_push_moves_the_steered_scores_by_its_own_effect_and_the_plain_ones_not(
    chat: Chat,
) -> None:
    settings = replace(SHORT, coefficient=-1.5)
    (turn,) = said(chat, "the sea", settings, Conversation()).turns
    # The probe's weights are the direction, so a push of 1 adds one scale to every score.
    assert chat.own_effect(settings) == pytest.approx(-1.5 * 4.0)
    # Nothing but a marker, ±2, has a part along the planted direction.
    steered = [token.score - chat.own_effect(settings) for token in turn.steered.watched.tokens]
    assert all(min(abs(score - m) for m in (-2, 0, 2)) < 1e-4 for score in steered)
    plain = [token.score for token in turn.plain.watched.tokens]
    assert all(min(abs(score - m) for m in (-2, 0, 2)) < 1e-4 for score in plain)
    assert turn.steered.watched.flagged is True
    assert turn.plain.watched.flagged is False


def test_a_push_where_the_probe_does_not_read_has_no_own_effect(chat: Chat) -> None:
    deeper = replace(chat.direction, site=replace(chat.direction.site, layer=3))
    other = Chat(chat.model, chat.monitor, deeper)
    assert other.own_effect(Settings(2.0)) == 0.0


def test_ablation_leaves_nothing_to_read_at_any_site(chat: Chat) -> None:
    settings = replace(SHORT, ablate=True)
    assert len(chat.interventions(settings)) == 2 * chat.model.n_layers + 1
    (turn,) = said(chat, "the moon is true", settings, Conversation()).turns
    assert max(abs(token.score) for token in turn.steered.watched.tokens) < 1e-5


def test_each_column_goes_on_from_its_own_answers(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = said(chat, "the sea", replace(SHORT, coefficient=-3.0), Conversation())
    asked: list[list[Any]] = []
    stream = Monitor.stream

    def listening(self: Monitor, prompt: Any, **options: Any) -> Generator[Any, None, None]:
        asked.append(list(prompt))
        return stream(self, prompt, **options)

    monkeypatch.setattr(Monitor, "stream", listening)
    second = said(chat, "the hill", SHORT, first)
    steered, plain = (first.turns[0].steered.text, first.turns[0].plain.text)
    assert steered != plain
    assert [[m.content for m in prompt] for prompt in asked] == [
        ["the sea", steered, "the hill"],
        ["the sea", plain, "the hill"],
    ]
    assert second.turns[0] == first.turns[0]
    assert second.turns[1].settings == SHORT


def test_the_conversation_grows_token_by_token_the_steered_column_first(chat: Chat) -> None:
    seen = [
        (len(c.turns[0].steered.watched.tokens), len(c.turns[0].plain.watched.tokens))
        for c in chat.reply(Conversation(), "the sea", replace(SHORT, max_new_tokens=2))
    ]
    assert seen == [(0, 0), (1, 0), (2, 0), (2, 0), (2, 1), (2, 2), (2, 2)]


def test_a_stopped_answer_stays_and_leaves_the_model_as_it_was(chat: Chat) -> None:
    before, count = logits(chat.model), hooks(chat.model)
    reply = chat.reply(Conversation(), "the sea", replace(SHORT, coefficient=2.0))
    part = [next(reply) for _ in range(3)][-1]
    assert not torch.equal(logits(chat.model), before)  # the push is on while it writes
    reply.close()
    assert hooks(chat.model) == count
    assert torch.equal(logits(chat.model), before)
    assert not part.turns[0].steered.finished
    assert Conversation.of_record(part.record()) == part
    assert len(part.turns[0].steered.watched.tokens) == 2
    # The plain column has no answer to this turn, so its prompt leaves the turn out.
    assert [m.content for m in part.messages("plain")] == []
    after = said(chat, "the hill", SHORT, part)
    assert after.turns[1].plain.finished


def test_a_failure_while_writing_leaves_the_model_as_it_was(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, count = logits(chat.model), hooks(chat.model)

    def broken(self: Monitor, tokens: Any) -> Any:
        raise RuntimeError("no judge")

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "judge", broken)
        with pytest.raises(RuntimeError, match="no judge"):
            said(chat, "the sea", replace(SHORT, coefficient=2.0), Conversation())
    assert hooks(chat.model) == count
    assert torch.equal(logits(chat.model), before)
    said(chat, "the sea", SHORT, Conversation())


def test_one_answer_at_a_time(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repalign.app.chat.PATIENCE", 0.01)
    reply = chat.reply(Conversation(), "the sea", SHORT)
    next(reply)
    with pytest.raises(InputError, match="being written"):
        next(chat.reply(Conversation(), "the hill", SHORT))
    reply.close()
    next(chat.reply(Conversation(), "the hill", SHORT))


def test_what_cannot_be_answered_is_refused_before_a_turn_is_made(chat: Chat) -> None:
    with pytest.raises(InputError, match="empty"):
        next(chat.reply(Conversation(), " \n", SHORT))
    with pytest.raises(InputError, match="would not fit"):
        next(chat.reply(Conversation(), "the sea " * 75, SHORT))
    next(chat.reply(Conversation(), "the sea", SHORT))


def test_an_export_holds_the_whole_conversation_and_what_made_it(chat: Chat) -> None:
    first = said(chat, "the <sea> & “hill”", replace(SHORT, coefficient=1.5), Conversation())
    second = said(chat, "is", replace(SHORT, ablate=True), first)
    record = json.loads(json.dumps(chat.record(second), allow_nan=False))
    assert Conversation.of_record(record["turns"]) == second
    assert record["format"] == "repalign.chat/1"
    assert record["model"]["weights"] == chat.model.fingerprint
    assert record["direction"]["fingerprint"] == chat.direction.fingerprint
    assert record["monitor"]["threshold"] == -1.0
    pushed, ablated = (turn["interventions"] for turn in record["turns"])
    assert [(one["site"], one["coefficient"]) for one in pushed] == [("L1.resid_post", 1.5)]
    assert {one["intervention"] for one in ablated} == {"Ablate"}
    token = record["turns"][0]["steered"]["tokens"][0]
    assert {"id", "text", "score", "probability"} <= set(token)


def test_the_fingerprint_of_a_probe_tells_probes_apart(chat: Chat) -> None:
    readout = chat.monitor.readout
    others = [replace(readout, coef=readout.coef * 2), replace(readout, intercept=1.0)]
    prints = {
        Chat(chat.model, Monitor(chat.model, one), chat.direction).record(Conversation())["probe"][
            "fingerprint"
        ]
        for one in (readout, *others)
    }
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coefficient": float("nan")}, "finite"),
        ({"coefficient": 1.0, "ablate": True}, "Ablation would remove"),
        ({"max_new_tokens": 0}, "0 were given"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**settings)


def test_a_direction_of_another_model_is_refused(chat: Chat) -> None:
    foreign = replace(chat.direction, origin={"weights": "other", "model": "gpt"})
    with pytest.raises(InputError, match="gpt"):
        Chat(chat.model, chat.monitor, foreign)


def test_a_model_without_chat_template_is_refused(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat.model.tokenizer, "chat_template", None)
    with pytest.raises(InputError, match="chat template"):
        Chat(chat.model, chat.monitor, chat.direction)
