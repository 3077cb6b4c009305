"""Any server that speaks the OpenAI protocol: a hosted one, or llama.cpp, vLLM, Ollama on this machine.

The address is always given, and the key never comes from the environment: what the user did not configure is
never called. Busy servers, time-outs and lost connections are tried again (`retrying.py`); a used-up quota is not.
Servers differ in what they accept; the known differences (name of the token limit, JSON schemas and which of their
keywords, temperature, how text is drawn) are found out from the first refusals and remembered.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agents.backends.forms import Forms, bare
from agents.backends.meter import Meter
from agents.backends.retrying import Busy, Retries, not_retried, retried, seconds_asked
from agents.errors import (
    BackendMissing,
    BackendRefused,
    BackendUnset,
    BadAnswer,
    CutOff,
    QuotaSpent,
)

_NO_KEY = "none"  # servers without keys ignore it; the SDK wants some text
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded")
_PASSING = (408, 409, 425, 429)  # and everything from 500 on


class OpenAIChat:
    """`model` at `base_url` (".../v1"). `timeout_s` is per try, `retries` how often a failed try is repeated."""

    def __init__(
        self,
        model: str = "",
        base_url: str = "",
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 4,
        first_delay_s: float = 0.5,
        extra: Mapping[str, Any] | None = None,
        meter: Meter | None = None,
    ) -> None:
        for setting, value in (("model", model), ("base_url", base_url)):
            if not value:
                raise BackendUnset("openai", setting)
        try:
            import openai
        except ImportError as exc:
            raise BackendMissing("openai", "openai") from exc
        self.name = f"openai:{model}"
        self._model = model
        self._base_url = base_url
        self._extra = dict(extra or {})
        self._client = openai.OpenAI(
            api_key=api_key or _NO_KEY, base_url=base_url, timeout=timeout_s, max_retries=0
        )
        self._retries = Retries(retries, first_delay_s)
        self._meter = meter or Meter()
        self._limit_field = "max_tokens"
        self._forms = Forms(
            _held_to,
            lambda schema: _held_to(bare(schema)),
            lambda _: {"type": "json_object"},
            lambda _: {},  # in words alone
        )
        self._refused: set[str] = set()  # fields that this server takes in no request

    @property
    def identity(self) -> dict[str, Any]:
        """All that an answer depends on besides the request; the key is not part of it."""
        return {"kind": "openai", "model": self._model, "base_url": self._base_url, "extra": self._extra}

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        form = {"type": "json_object"} if json else None
        return self._text(messages, max_tokens, temperature, form)

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Mapping[str, Any], *, max_tokens: int = 1024
    ) -> str:
        """Text that the server was made to fit to the schema, where it can; the caller checks it all the same."""
        return self._forms.ask(schema, lambda form: self._text(messages, max_tokens, 0.0, form))

    def stream(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        fields: Mapping[str, Any] | None = None,
    ) -> Generator[str, None, None]:
        """Pieces as they come. A connection lost in the middle raises: half an answer is never passed off as one.

        Only the beginning is tried again. `fields` are more of the request, as this or that server knows them; one that
        is refused is left out from then on.
        """
        said: list[str] = []
        with self._meter.request(self.name, messages, max_tokens) as bill:
            chunks = self._create(messages, max_tokens, temperature, fields, stream=True)
            bill.settle(None, None)  # the prompt was read, whatever becomes of the answer
            is_ended = False
            try:
                with not_retried(self.name), self._mapped(), chunks:
                    for chunk in chunks:
                        choice = chunk.choices[0] if chunk.choices else None
                        is_ended = is_ended or (choice is not None and choice.finish_reason is not None)
                        if choice is not None and choice.delta.content:
                            said.append(choice.delta.content)
                            yield choice.delta.content
                    if not is_ended:
                        raise Busy("it broke off")
            finally:
                bill.settle(None, None, answer="".join(said))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _text(
        self,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        temperature: float,
        form: Mapping[str, Any] | None,
    ) -> str:
        options = {"response_format": form} if form else {}
        with self._meter.request(self.name, messages, max_tokens) as bill:
            answer = self._create(messages, max_tokens, temperature, **options)
            choice = _choice(self.name, answer)
            text = str(getattr(choice.message, "content", None) or "")
            usage = getattr(answer, "usage", None)
            bill.settle(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), answer=text)
        if form is not None and choice.finish_reason == "length":
            raise CutOff(self.name, f"it was cut off after {max_tokens} tokens")
        return text

    def _create(
        self,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        temperature: float,
        fields: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """The server's answer after as many tries as are allowed, in the words that this server accepts."""

        def ask() -> Any:
            more = {name: value for name, value in (fields or {}).items() if name not in self._refused}
            request: dict[str, Any] = {
                "model": self._model,
                "messages": list(messages),
                self._limit_field: max_tokens,
                "extra_body": {**more, **self._extra} or None,
                **({"temperature": temperature} if "temperature" not in self._refused else {}),
                **options,
            }
            create: Any = self._client.chat.completions.create
            with self._mapped():
                return create(**request)

        while True:
            try:
                return retried(self.name, ask, self._retries)
            except BackendRefused as exc:
                if not self._learns_from(str(exc), fields or {}):
                    raise

    def _learns_from(self, refusal: str, fields: Mapping[str, Any]) -> bool:
        """Whether the refusal names something that this server wants otherwise, which is from now on respected."""
        if self._limit_field == "max_tokens" and "max_completion_tokens" in refusal:
            self._limit_field = "max_completion_tokens"
            return True
        named = {name for name in ("temperature", *fields) if name in refusal} - self._refused
        self._refused |= named
        return bool(named)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Every error of the SDK becomes Busy or one of ours; a server's reason is cut short, our request never shown."""
        import openai

        try:
            yield
        except openai.APITimeoutError as exc:
            raise Busy("it did not answer in time") from exc
        except openai.APIStatusError as exc:
            if _is_quota(exc.status_code, exc.body):
                raise QuotaSpent(self.name) from exc
            if exc.status_code in _PASSING or exc.status_code >= 500:
                raise Busy(
                    f"it answered {exc.status_code} to every try", _after(exc.response.headers)
                ) from exc
            if exc.status_code in (400, 413) and _is_too_long(exc.body):
                raise CutOff(self.name, "the question is longer than its context") from exc
            raise BackendRefused(self.name, f"{exc.status_code} {_reason(exc.body)}".strip()) from exc
        except openai.APIError as exc:
            raise Busy("no connection, or it broke off") from exc
        except ValueError as exc:
            raise BadAnswer(self.name, "it is no JSON at all") from exc


def _choice(name: str, answer: Any) -> Any:
    """The first choice. Raises BadAnswer where the server sent anything but a chat completion."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise BadAnswer(name, "it is no chat completion with a choice; check that base_url ends in /v1")
    return choices[0]


def _count(usage: object, field: str) -> int | None:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and value >= 0 else None


def _is_quota(status: int, body: object) -> bool:
    """Whether the account has nothing left, rather than the server being busy."""
    if status == 402:
        return True
    named = (body.get("code"), body.get("type")) if isinstance(body, Mapping) else ()
    return status in (403, 429) and any(code in _QUOTA_CODES for code in named)


def _is_too_long(body: object) -> bool:
    """Whether the refusal is about the length of the question, in the words of the servers known."""
    said = str(body).lower()
    return "context" in said and any(word in said for word in ("length", "size", "window"))


def _after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; `retry-after-ms` is what some send besides."""
    in_ms = seconds_asked(headers.get("retry-after-ms"))
    return in_ms / 1000 if in_ms is not None else seconds_asked(headers.get("retry-after"))


def _reason(body: object) -> str:
    """The server's own message, one line of at most 120 characters."""
    message = body.get("message") if isinstance(body, Mapping) else None
    return " ".join(str(message).split())[:120] if message else ""


def _held_to(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}
