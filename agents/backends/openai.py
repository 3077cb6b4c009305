"""Any server that speaks the OpenAI protocol: a hosted one, or llama.cpp, vLLM, Ollama on this machine.

The address is always given, and the key never comes from the environment: what the user did not configure is
never called. The SDK retries with exponential back-off (429, 5xx, lost connections) and honours `Retry-After`.
Servers differ in what they accept; the two known differences (name of the token limit, JSON schemas) are
found out from the first refusal and remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agents.errors import BackendMissing, BackendRefused, BackendUnreachable, BackendUnset, BadAnswer

_NO_KEY = "none"  # servers without keys ignore it; the SDK wants some text


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
        extra: Mapping[str, Any] | None = None,
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
        self._extra = dict(extra or {})
        self._client = openai.OpenAI(
            api_key=api_key or _NO_KEY, base_url=base_url, timeout=timeout_s, max_retries=retries
        )
        self._limit_field = "max_tokens"
        self._takes_schema = True

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
        if self._takes_schema:
            described = {"name": "answer", "strict": True, "schema": dict(schema)}
            try:
                return self._text(
                    messages, max_tokens, 0.0, {"type": "json_schema", "json_schema": described}
                )
            except BackendRefused as exc:
                if not _names_the_form(exc):
                    raise
                self._takes_schema = False
        return self._text(messages, max_tokens, 0.0, {"type": "json_object"})

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        """Pieces as they come. A connection lost in the middle raises: half an answer is never passed off as one."""
        with self._mapped():
            chunks = self._create(messages, max_tokens, temperature, stream=True)
            with chunks:
                for chunk in chunks:
                    piece = chunk.choices[0].delta.content if chunk.choices else None
                    if piece:
                        yield piece

    def _text(
        self,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        temperature: float,
        form: Mapping[str, Any] | None,
    ) -> str:
        with self._mapped():
            options = {"response_format": form} if form else {}
            answer = self._create(messages, max_tokens, temperature, **options)
        if not answer.choices:
            raise BadAnswer(self.name, "it holds no choice")
        choice = answer.choices[0]
        if form and choice.finish_reason == "length":
            raise BadAnswer(self.name, f"it was cut off after {max_tokens} tokens")
        return str(choice.message.content or "")

    def _create(
        self, messages: Sequence[dict[str, str]], max_tokens: int, temperature: float, **options: Any
    ) -> Any:
        import openai

        request: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages),
            "temperature": temperature,
            "extra_body": self._extra or None,
            **options,
        }
        create: Any = self._client.chat.completions.create
        try:
            return create(**request, **{self._limit_field: max_tokens})
        except openai.BadRequestError as exc:
            if self._limit_field != "max_tokens" or "max_completion_tokens" not in str(exc):
                raise
            self._limit_field = "max_completion_tokens"
            return create(**request, **{self._limit_field: max_tokens})

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Every error of the SDK becomes one of ours; a server's reason is cut short, our request never shown."""
        import openai

        try:
            yield
        except openai.APITimeoutError as exc:
            raise BackendUnreachable(self.name, "it did not answer in time") from exc
        except (openai.RateLimitError, openai.InternalServerError) as exc:
            raise BackendUnreachable(self.name, f"it answered {exc.status_code} to every try") from exc
        except openai.APIStatusError as exc:
            raise BackendRefused(self.name, f"{exc.status_code} {_reason(exc.body)}".strip()) from exc
        except openai.APIError as exc:
            raise BackendUnreachable(self.name, "no connection, or it broke off") from exc


def _reason(body: object) -> str:
    """The server's own message, one line of at most 120 characters."""
    message = body.get("message") if isinstance(body, Mapping) else None
    return " ".join(str(message).split())[:120] if message else ""


def _names_the_form(exc: BackendRefused) -> bool:
    return any(word in str(exc) for word in ("response_format", "json_schema", "schema"))
