"""Endpoint: answers from servers that are slow, rude, broken or gone."""

import builtins
import re
import threading
import time
import traceback
from collections.abc import Iterator
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from answering.played import Call, Play, Sent, answer, playing

from repalign.answering import server as calls
from repalign.answering.cost import Cost
from repalign.answering.endpoint import Endpoint
from repalign.answering.reply import Reply, Settings
from repalign.answering.respondent import Replied, Respondent
from repalign.errors import InputError, MissingExtraError
from repalign.examples import Example

KEY = "sk-very-secret-1234"
GREEDY, SAMPLED = Settings(max_new_tokens=9), Settings(samples=3, temperature=1.0, seed=5)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)


def prompts(count: int) -> list[Example]:
    return [Example.of_chat(f"question {place}", group=str(place)) for place in range(count)]


def _take(batches: Iterator[list[Replied]], found: dict[int, list[Reply]]) -> None:
    for batch in batches:
        for one in batch:
            assert one.prompt not in found
            found[one.prompt] = one.replies


def ask(
    url: str, count: int, settings: Settings = GREEDY, skip: Any = (), **options: Any
) -> dict[int, list[Reply]]:
    found: dict[int, list[Reply]] = {}
    _take(Endpoint("m", url, **options).replies(prompts(count), settings, skip), found)
    return found


def test_each_prompt_is_answered_in_its_place_and_never_too_many_at_once() -> None:
    def play(call: Call) -> Sent:
        found = answer(call)
        return Sent(found.content, after=0.002 * (7 * call.number % 5))

    with playing(play) as server:
        endpoint = Endpoint("m", server.url, at_once=4)
        assert isinstance(endpoint, Respondent)
        batches = list(endpoint.replies(prompts(40), GREEDY))
    found = {one.prompt: one.replies for batch in batches for one in batch}
    assert found == {place: [Reply(f"QUESTION {place} 0", used=(10, 3))] for place in range(40)}
    assert len(batches) > 8  # as they come, and not all at the end
    assert len(server.calls) == 40
    assert 2 <= server.most <= 4
    body = server.asked("question 7")[0].body
    assert body["messages"] == [{"role": "user", "content": "question 7"}]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 9, 0.0)
    assert "n" not in body
    assert str(endpoint.spent) == "400 tokens of prompts and 120 of answers"


def test_the_seed_depends_on_place_sample_and_seed_and_on_nothing_else() -> None:
    def seeds(settings: Settings, skip: Any = ()) -> dict[str, list[int]]:
        with playing(lambda call: answer(call, n=1)) as server:
            ask(server.url, 4, settings, skip)
        found: dict[str, list[int]] = {}
        for call in server.calls:
            found.setdefault(call.asked, []).append(call.body["seed"])
        return found

    whole = seeds(SAMPLED)
    assert len({seed for one in whole.values() for seed in one}) == 4 * 3
    assert seeds(SAMPLED, skip={0, 2}) == {
        name: whole[name] for name in ("question 1", "question 3")
    }
    other = seeds(Settings(samples=3, temperature=1.0, seed=6))
    assert not {s for one in whole.values() for s in one} & {s for o in other.values() for s in o}
    assert all(0 <= seed < 2**31 for one in whole.values() for seed in one)


def test_samples_come_in_one_call_where_the_server_gives_them() -> None:
    with playing(answer) as server:
        found = ask(server.url, 2, SAMPLED)
    assert [reply.text for reply in found[1]] == [f"QUESTION 1 {n}" for n in range(3)]
    assert [reply.used for reply in found[1]] == [(10, 9), (0, 0), (0, 0)]
    assert [call.body["n"] for call in server.calls] == [3, 3]


def test_samples_come_in_several_calls_where_n_is_ignored_or_refused() -> None:
    with playing(lambda call: answer(call, n=1)) as server:
        found = ask(server.url, 2, SAMPLED)
    assert {len(replies) for replies in found.values()} == {3}
    assert len(server.calls) == 6

    def refuse(call: Call) -> Sent:
        return (
            Sent({"error": {"message": "n is too much"}}, 400) if "n" in call.body else answer(call)
        )

    with playing(refuse) as server:
        found = ask(server.url, 2, SAMPLED, at_once=1)
    assert all(reply.error is None for replies in found.values() for reply in replies)
    assert len(server.calls) == 1 + 6

    with playing(lambda call: answer(call, n=5)) as server:  # more than were asked for
        assert len(ask(server.url, 1, SAMPLED)[0]) == 3


def test_a_server_that_wants_the_newer_name_of_the_length_gets_it() -> None:
    def play(call: Call) -> Sent:
        if "max_tokens" in call.body:
            said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Sent({"error": {"message": said}}, 400)
        return answer(call)

    with playing(play) as server:
        found = ask(server.url, 3, at_once=1)
    assert [replies[0].text for replies in found.values()] == [f"QUESTION {n} 0" for n in range(3)]
    assert [call.body.get("max_completion_tokens") for call in server.calls] == [None, 9, 9, 9]


def test_plain_texts_go_on_by_completions_or_are_refused() -> None:
    text = [Example.of_text("once upon")]
    with playing(answer) as server:
        batches = list(Endpoint("m", server.url).replies(text, GREEDY))
    assert batches[0][0].replies[0].text == "ONCE UPON 0"
    assert server.calls[0].path == "/v1/completions"
    assert server.calls[0].body["prompt"] == "once upon"
    with (
        playing(lambda _: Sent({"error": {"message": "Not Found"}}, 404)) as server,
        pytest.raises(InputError, match="cannot go on with plain texts"),
    ):
        list(Endpoint("m", server.url).replies(text, GREEDY))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_server_is_asked_again_when_it_says(form: str) -> None:
    def play(call: Call) -> Sent:
        if call.number == 0:
            after = "0.4" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
            return Sent({"error": {"message": "slow down"}}, 429, {"retry-after": after})
        return answer(call)

    with playing(play) as server:
        found = ask(server.url, 1)
    assert found[0][0].text == "QUESTION 0 0"
    first, second = (call.when for call in server.calls)
    assert second - first >= (0.4 if form == "seconds" else 0.9)


def test_a_server_that_asks_for_an_hour_is_not_waited_for() -> None:
    busy = Sent({"error": {"message": "come tomorrow"}}, 429, {"retry-after": "3600"})
    with playing(lambda _: busy) as server:
        found = ask(server.url, 2)
    assert [replies[0].text for replies in found.values()] == [None, None]
    assert "come tomorrow" in str(found[0][0].error)
    assert len(server.calls) == 2


@pytest.mark.parametrize("status", [408, 409, 500, 503])
def test_passing_errors_are_tried_again_ever_later(status: int) -> None:
    with playing(lambda call: Sent(b"oops", status) if call.number < 3 else answer(call)) as server:
        assert ask(server.url, 1)[0][0].text == "QUESTION 0 0"
    times = [call.when for call in server.calls]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 3
    assert all(gap >= 0.0075 * 2**number for number, gap in enumerate(gaps))


def test_an_error_that_stays_becomes_that_prompts_error_after_all_tries() -> None:
    def play(call: Call) -> Sent:
        return Sent(b"it broke", 500) if call.asked == "question 1" else answer(call)

    with playing(play) as server:
        found = ask(server.url, 3, tries=3)
    assert [found[place][0].text for place in range(3)] == ["QUESTION 0 0", None, "QUESTION 2 0"]
    assert "it broke" in str(found[1][0].error)
    assert len(server.asked("question 1")) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_refused_is_asked_once_and_costs_no_other_prompt(status: int) -> None:
    def play(call: Call) -> Sent:
        if call.asked == "question 1":
            return Sent({"error": {"message": "this prompt is too long"}}, status)
        return answer(call)

    with playing(play) as server:
        found = ask(server.url, 3)
    assert "this prompt is too long" in str(found[1][0].error)
    assert found[2][0].text == "QUESTION 2 0"
    assert len(server.calls) == 3


def test_a_server_that_refuses_everything_alike_is_asked_no_further() -> None:
    with (
        playing(lambda _: Sent({"detail": "no model of that name"}, 400)) as server,
        pytest.raises(InputError, match=r"first 3 prompts.*alike.*no model of that name"),
    ):
        ask(server.url, 50, at_once=1)
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refuses the key in OPENAI_API_KEY .*Set the environment variable OPENAI_API_KEY"),
        (403, "refuses the key"),
        (404, "does not find the model 'm'.*ends in /v1"),
    ],
)
def test_a_wrong_key_or_model_ends_it_at_once(status: int, said: str) -> None:
    echo = {"error": {"message": f"bad: Bearer {KEY}"}}
    with playing(lambda _: Sent(echo, status)) as server, pytest.raises(InputError) as caught:
        ask(server.url, 20, at_once=2)
    assert re.search(said, str(caught.value))
    assert len(server.calls) <= 2
    whole = "".join(traceback.format_exception(caught.value))
    assert KEY not in whole
    assert KEY not in repr(caught.value.__dict__)


def test_an_empty_account_ends_it_at_once() -> None:
    spent = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    with (
        playing(lambda _: Sent(spent, 429)) as server,
        pytest.raises(InputError, match=r"gives no more answers .*exceeded your quota"),
    ):
        ask(server.url, 20, at_once=1)
    assert len(server.calls) == 1


def test_the_key_goes_into_the_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(call: Call) -> Sent:
        broken = {
            "question 0": Sent({"error": {"message": f"your key {KEY} is odd"}}, 400),
            "question 1": Sent(f"<html>{KEY}".encode()),
            "question 2": Sent({"choices": [], "echo": KEY}),
            "question 3": Sent({"choices": [{"message": {"content": None}, "echo": KEY}]}),
        }
        return broken.get(call.asked) or answer(call)

    with playing(play) as server:
        address = server.url.replace("http://", "http://me:hush@") + "?key=hush2"
        endpoint = Endpoint("m", server.url)
        found = [one for batch in endpoint.replies(prompts(5), GREEDY) for one in batch]
        assert {call.key for call in server.calls} == {f"Bearer {KEY}"}
        errors = [one.replies[0].error for one in found if one.replies[0].error is not None]
        assert len(errors) == 4
        kept = [repr(endpoint), str(endpoint.origin()), str(vars(endpoint)), str(errors)]
        assert not any(KEY in text for text in kept)
        assert endpoint.origin() == {"model": "m", "server": server.url}

        hidden = Endpoint("m", address)
        assert hidden.origin() == {"model": "m", "server": server.url}
        assert "hush" not in repr(hidden)

        # Another variable; and none, as for a server in the house.
        monkeypatch.setenv("MINE", "other-key")
        ask(server.url, 5, skip=range(4), key_variable="MINE")
        assert server.calls[-1].key == "Bearer other-key"
        monkeypatch.delenv("OPENAI_API_KEY")
        assert ask(server.url, 5, skip=range(4))[4][0].text == "QUESTION 4 0"
        assert KEY not in str(server.calls[-1].key)


def test_a_server_that_is_down_is_said_before_anything_is_asked() -> None:
    with playing(answer) as server:
        url = server.url
    begun = time.monotonic()
    with pytest.raises(
        InputError, match=rf"server at {url} does not answer \(.*refused.*\)\. Start"
    ):
        ask(url, 20)
    assert time.monotonic() - begun < 2


def test_a_server_that_dies_midway_leaves_what_was_answered() -> None:
    def play(call: Call) -> Sent:
        return answer(call) if int(call.asked.split()[1]) < 4 else Sent(hang_up=True)

    found: dict[int, list[Reply]] = {}
    with playing(play) as server:
        endpoint = Endpoint("m", server.url, at_once=1, tries=2)
        with pytest.raises(InputError) as caught:
            _take(endpoint.replies(prompts(30), GREEDY, skip=[0]), found)
        assert "no longer answers" in str(caught.value)
        assert "4 of 30 prompts are answered" in str(caught.value)
        assert "run the same again" in str(caught.value)
        good = [place for place, replies in found.items() if replies[0].error is None]
        assert good == [1, 2, 3]
        assert len(server.calls) == 3 + 2 * 3
        # The rest is asked when it runs again, and nothing twice.
        server.play = answer
        before = len(server.calls)
        again = ask(server.url, 30, skip=[0, *good])
        assert sorted(again) == list(range(4, 30))
        assert len(server.calls) - before == 26


def test_failures_that_are_not_in_a_row_end_nothing() -> None:
    def play(call: Call) -> Sent:
        return Sent(hang_up=True) if int(call.asked.split()[1]) % 3 else answer(call)

    with playing(play) as server:
        found = ask(server.url, 12, at_once=1, tries=1)
    assert [place for place in found if found[place][0].error is None] == [0, 3, 6, 9]
    assert "did not answer" in str(found[1][0].error)


def test_a_server_that_takes_too_long_is_tried_again() -> None:
    def play(call: Call) -> Sent:
        return Sent(answer(call).content, after=0.0 if call.number else 1.0)

    begun = time.monotonic()
    with playing(play) as server:
        found = ask(server.url, 1, seconds=0.3)
        took = time.monotonic() - begun
    assert found[0][0].text == "QUESTION 0 0"
    assert len(server.calls) == 2
    assert took < 0.9


def test_nothing_is_sent_where_all_is_answered_already() -> None:
    assert ask("http://127.0.0.1:9/v1", 3, skip={0, 1, 2}) == {}


def test_giving_up_half_way_asks_no_more() -> None:
    with playing(answer) as server:
        stream = iter(Endpoint("m", server.url, at_once=2).replies(prompts(50), GREEDY))
        next(stream)
        stream.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert len(server.calls) <= 4
        assert not [one for one in threading.enumerate() if "ThreadPool" in one.name]


def test_giving_up_waits_for_no_further_try() -> None:
    def play(call: Call) -> Sent:
        busy = Sent(b"busy", 429, {"retry-after": "20"})
        return busy if call.asked == "question 1" else answer(call)

    begun = time.monotonic()
    with playing(play) as server:
        stream = iter(Endpoint("m", server.url, at_once=2).replies(prompts(2), GREEDY))
        assert next(stream)[0].prompt == 0
        stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert time.monotonic() - begun < 10


def choice(content: Any, why: str = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **more}, "finish_reason": why}]}


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (choice("Paris"), Reply("Paris")),
        (choice(""), Reply("")),
        (choice("Par", "length"), Reply("Par", cut=True)),
        (choice(None, refusal="I cannot say."), Reply("I cannot say.")),
        (choice("half \ud83d"), Reply("half ?")),
        (choice("Pa", "content_filter"), "filter of the server"),
        (choice(None, "content_filter"), "filter of the server"),
        (choice(None, "length", reasoning="hm"), "cut before its first word; allow more tokens"),
        (choice(None, "tool_calls"), "without text: .*tool_calls"),
        (choice([{"text": "x"}]), "without text"),
        ({"choices": []}, r'no answer but {"choices": \[\]}'),
        ({"choices": None}, "no answer but"),
        ({"choices": ["x"]}, "no answer but"),
        ({"error": {"message": "loading"}}, "no answer but.*loading"),
        ([1, 2], r"no answer but \[1, 2\]"),
        (None, "no answer but null"),
        (b"<html>busy</html>", "not JSON.*<html>busy"),
        (b'{"choices": [{"mess', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_a_server_may_send(sent: Any, wanted: Reply | str) -> None:
    with playing(lambda call: Sent(sent) if call.asked[-1] == "1" else answer(call)) as server:
        found = ask(server.url, 2)
    assert found[0][0].error is None
    if isinstance(wanted, Reply):
        assert found[1] == [wanted]
    else:
        assert found[1][0].text is None
        assert re.search(wanted, str(found[1][0].error))
    assert len(server.calls) == 2


def test_cost_before_and_after() -> None:
    with playing(answer) as server:
        endpoint = Endpoint("m", server.url, price=(2, 10.0))
        asked = prompts(4)  # 10 characters each
        guess = endpoint.estimate(asked, SAMPLED)
        assert (guess.prompt_tokens, guess.answer_tokens) == (3 * 10, 3 * 4 * 64)
        assert str(guess) == (
            "at most about 30 tokens of prompts and 768 of answers, $0.0077 "
            "(a guess: 4 characters a token)"
        )
        assert server.calls == []
        assert endpoint.spent == Cost(price=(2, 10.0))
        list(endpoint.replies(asked, SAMPLED))
        assert endpoint.spent == Cost(40, 36, (2, 10.0))
        assert endpoint.spent.dollars == pytest.approx(40 * 2e-6 + 36 * 1e-5)
        assert Endpoint("m", server.url).spent.dollars is None


def test_answers_without_a_count_are_said() -> None:
    play: Play = lambda call: answer(call, usage=None if call.asked[-1] == "1" else {"x": 1})  # noqa: E731
    with playing(play) as server:
        endpoint = Endpoint("m", server.url, price=(1.0, 1.0))
        replies = [one for batch in endpoint.replies(prompts(2), GREEDY) for one in batch]
    assert [one.replies[0].used for one in replies] == [(0, 0)] * 2
    assert endpoint.spent.uncounted == 2
    assert "2 calls whose tokens the server did not count" in str(endpoint.spent)


def test_prompts_that_end_in_no_users_turn_are_refused() -> None:
    spoken = [Example.of_chat("a"), Example.of_chat("q", "r")]
    with pytest.raises(InputError, match=r"Prompt 1 .*role 'assistant'"):
        list(Endpoint("m", "http://127.0.0.1:9/v1").replies(spoken, GREEDY))


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "http://[x", "x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no address of a server"):
        Endpoint("m", url)


def test_numbers_below_their_least_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"at_once": 0}, {"tries": 0}, {"seconds": 0}]
    for given in wrong:
        with pytest.raises(InputError, match="at_once="):
            Endpoint("m", "http://x/v1", **given)


def test_the_address_comes_from_where_openai_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Endpoint("m").origin()["server"] == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://u:p@host:1/v1/")
    assert Endpoint("m").origin()["server"] == "http://host:1/v1"


def test_without_the_client_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **options: Any) -> Any:
        if name == "openai":
            raise ImportError(name)
        return real(name, *given, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'repalign\[eval\]'"):
        ask("http://127.0.0.1:9/v1", 1)
