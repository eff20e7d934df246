"""Questions: each fact is asked once, and nothing but the facts says which option is right."""

import numpy as np
import pytest

from repalign import datasets
from repalign.behavior import Question, questions, true_or_false
from repalign.errors import InputError
from repalign.examples import Example, Message

CHAT = (Message("user", "Which one?"),)


def test_every_question_of_a_topic_is_asked_once_with_its_right_answer() -> None:
    rows = {row.meta["question"]: row for row in datasets.load("capitals_qa")}
    found = questions("capitals_qa")
    assert [q.example.messages[-1].content for q in found] == list(rows)
    for question in found:
        row = rows[question.example.messages[-1].content]
        assert [question.options[i] for i in question.correct] == [row.meta["answer"]]
        assert set(question.options) == {row.meta["answer"], row.meta["alternative"]}
        assert (question.group, question.topic) == (row.group, "capitals")


def test_a_topic_stands_for_its_questions() -> None:
    assert questions("numbers") == questions("numbers_qa")


@pytest.mark.parametrize("topic", ["capitals", "numbers", "spanish"])
def test_the_place_of_an_option_says_nothing(topic: str) -> None:
    found = questions(topic)
    first = np.mean([question.correct == (0,) for question in found])
    assert abs(first - 0.5) < 4 * 0.5 / np.sqrt(len(found))
    assert questions(topic) == found


def test_a_persona_stands_in_front_of_every_question() -> None:
    plain, told = questions("cities"), questions("cities", system="You lie.")
    assert [q.example.messages[0] for q in told] == [("system", "You lie.")] * len(plain)
    assert [q.example.messages[1:] for q in told] == [q.messages for q in plain]
    assert [(q.options, q.correct) for q in told] == [(q.options, q.correct) for q in plain]


def test_without_a_chat_a_question_is_a_text_to_go_on_with() -> None:
    plain = questions("cities", chat=False)[0]
    asked = questions("cities")[0].example.text
    assert plain.messages == (("text", f"Question: {asked}\nAnswer:"),)
    told = questions("cities", chat=False, system="You lie.")[0]
    assert told.example.text == f"You lie.\n\nQuestion: {asked}\nAnswer:"


def test_statements_are_asked_about_in_two_wordings_with_opposite_answers() -> None:
    rows = [Example.of_text("It is wet.", 1, "g"), Example.of_text("It is dry.", 0, topic="w")]
    found = true_or_false(rows)
    assert [q.options for q in found] == [("True", "False")] * 4
    assert [q.options[q.correct[0]] for q in found] == ["True", "False", "False", "True"]
    assert [q.wording for q in found] == ["affirmed", "negated"] * 2
    # Both wordings of a statement are one group, also where it has none of its own.
    assert [q.group for q in found] == ["g", "g", "statement 1", "statement 1"]
    assert [q.topic for q in found] == ["", "", "w", "w"]
    assert "It is wet." in found[0].example.text
    assert 'The claim "It is wet." is wrong.' in found[1].example.text


def test_a_balanced_set_asks_for_true_as_often_as_for_false() -> None:
    found = true_or_false("cities")
    assert len(found) == 2 * len(datasets.load("cities"))
    for wording in ("affirmed", "negated"):
        right = [q.correct for q in found if q.wording == wording]
        assert right.count((0,)) == right.count((1,))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (Example.of_text("It is wet."), "has no label"),
        (Example.of_chat("Is it wet?", "Yes.", 1), "is a conversation"),
    ],
)
def test_only_labelled_statements_are_true_or_false(row: Example, why: str) -> None:
    with pytest.raises(InputError, match=rf"Example 1 .*{why}"):
        true_or_false([Example.of_text("It is dry.", 0), row])


def test_examples_without_questions_are_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"lack one of question, answer.*true_or_false"):
        questions("cities_negated")
    with pytest.raises(InputError, match="No examples"):
        questions([])


def test_a_question_with_two_right_answers_is_refused() -> None:
    def row(answer: str, alternative: str) -> Example:
        meta = {"question": "Which?", "answer": answer, "alternative": alternative}
        return Example.of_chat("Which?", answer, 1, **meta)

    assert len(questions([row("this", "that"), row("this", "those")])) == 1
    with pytest.raises(InputError, match="two right answers, 'this' and 'that'"):
        questions([row("this", "that"), row("that", "this")])


def test_messages_come_as_text_as_messages_or_as_plain_data() -> None:
    plain = Question("The sea is", ("wet", "dry"), (0,))
    assert plain.example == Example.of_text("The sea is")
    chat = Question([{"role": "user", "content": "Which one?"}], ("this", "that"), (0,))
    assert chat == Question(CHAT, ("this", "that"), (0,))
    assert hash(chat) == hash(Question(CHAT, ("this", "that"), (0,)))


@pytest.mark.parametrize(
    ("options", "correct", "why"),
    [
        (("this", "this"), (0,), "one option twice"),
        (("this", " "), (0,), "blank option"),
        (("this", "that"), (), "a right and a wrong option"),
        (("this", "that"), (0, 1), "a right and a wrong option"),
        (("this", "that"), (2,), r"2 options, and \[2\]"),
        (("this", "that", "it"), (0, 0), r"\[0, 0\]"),
    ],
)
def test_questions_that_nobody_could_answer_are_refused(
    options: tuple[str, ...], correct: tuple[int, ...], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        Question(CHAT, options, correct)


def test_a_question_ends_in_the_users_turn() -> None:
    answered = (*CHAT, Message("assistant", "This."))
    with pytest.raises(InputError, match="role 'assistant'"):
        Question(answered, ("this", "that"), (0,))
    with pytest.raises(InputError, match="a role and a content"):
        Question([{"content": "Which one?"}], ("this", "that"), (0,))
