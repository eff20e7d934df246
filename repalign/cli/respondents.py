"""Respondents of a command: models that are loaded here, once each, and models behind servers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repalign.answering import Endpoint, Local, Replied, Respondent, Settings
from repalign.cli import options, output
from repalign.errors import InputError
from repalign.examples import Example
from repalign.judges import ByModel, Judge, Words

if TYPE_CHECKING:
    from repalign.models import LanguageModel

Price = tuple[float, float]
WORDS = "words"


@dataclass(frozen=True)
class Announced:
    """A server's respondent that says on stderr what answers may cost before it asks for any."""

    who: Endpoint

    @property
    def name(self) -> str:
        """The model's."""
        return self.who.name

    def origin(self) -> dict[str, Any]:
        """The server's."""
        return self.who.origin()

    def replies(
        self, prompts: Sequence[Example], settings: Settings, skip: Collection[int] = ()
    ) -> Iterator[list[Replied]]:
        """Answer prompts; see `Respondent.replies`."""
        todo = [prompt for place, prompt in enumerate(prompts) if place not in skip]
        if todo:
            cost = self.who.estimate(todo, settings)
            answers = len(todo) * settings.samples
            said = f"Asking {self.who.url} for {answers} answers: {cost}."
            output.err.print(said, markup=False, soft_wrap=True)
        yield from self.who.replies(prompts, settings, skip)


@dataclass(frozen=True)
class Loading:
    """The shared options of a model that is loaded here."""

    device: str | None = None
    device_map: str | None = None
    dtype: str | None = None
    trust_remote_code: bool = False
    allow_failed: Sequence[str] = ()

    def load(self, name: str, revision: str | None) -> "LanguageModel":
        """Load a model."""
        return options.load_model(
            name,
            self.device,
            self.device_map,
            self.dtype,
            revision,
            self.trust_remote_code,
            list(self.allow_failed),
        )


class Respondents:
    """Everybody a command asks. One model that has several parts is loaded once."""

    def __init__(self, loading: Loading) -> None:
        """Nobody yet."""
        self._loading = loading
        self._loaded: dict[tuple[str, str | None], Local] = {}
        self._servers: dict[tuple[str, str, Price | None], Announced] = {}

    def of(
        self,
        name: str,
        server: str | None,
        revision: str | None = None,
        price: Price | None = None,
    ) -> Respondent:
        """The model of this name, here or at a server.

        Raises:
            InputError: it cannot be loaded, or the server's address is none.
        """
        if server is None:
            key = (name, revision)
            if key not in self._loaded:
                self._loaded[key] = Local(self._loading.load(name, revision))
            return self._loaded[key]
        at = (name, server, price)
        if at not in self._servers:
            url = None if server == "openai" else server
            self._servers[at] = Announced(Endpoint(name, url, price=price))
        return self._servers[at]

    def judge(
        self,
        name: str,
        server: str | None,
        revision: str | None = None,
        price: Price | None = None,
    ) -> Judge:
        """The rules of words, or a model.

        Raises:
            InputError: as `of`.
        """
        return Words() if name == WORDS else ByModel(self.of(name, server, revision, price))

    def say_what_was_spent(self) -> None:
        """Print on stderr what the answers of each server cost."""
        for one in self._servers.values():
            said = f"{one.who.url}, {one.name}: {one.who.spent}."
            output.err.print(said, markup=False, soft_wrap=True)


def price(text: str | None, option: str, servers: Sequence[str | None]) -> Price | None:
    """Read `IN,OUT`: dollars for a million tokens of prompts, and of answers.

    Raises:
        InputError: it is not two numbers of 0 or more, or there is no server to pay.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 2 or not all(0 <= number < float("inf") for number in numbers):
        raise InputError(
            f"{option} is IN,OUT, dollars for a million tokens of prompts and of answers, such as "
            f"0.5,1.5; {text!r} was given."
        )
    if not any(servers):
        raise InputError(f"{option} was given, but no server that would have to be paid.")
    return numbers[0], numbers[1]


def without_secrets(url: str | None) -> str | None:
    """A server's address as it may be recorded: without user, password and query."""
    return url if url is None or url == "openai" else Endpoint("", url).url


def record(who: Respondent) -> dict[str, Any]:
    """What a run says of somebody who was asked: the name, what determines answers, the checks."""
    origin = who.origin()
    checked = who.model.checked if isinstance(who, Local) else None
    return {
        "name": who.name,
        **{name: value for name, value in origin.items() if name != "model"},
        **({"checks": checked.to_json()} if checked is not None else {}),
    }
