"""Gemini through `google-genai` (its predecessor `google-generativeai` is end-of-life: docs/adr/0003).

The key is always given; neither it nor the choice of service is read from the environment. System messages
become the system instruction, assistant turns the role "model". Busy servers, time-outs and lost connections are tried
again (`retrying.py`); a used-up quota, which Gemini reports with the same code as a busy minute, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

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

_T = TypeVar("_T")
_JSON = {"response_mime_type": "application/json"}


class GeminiChat:
    """`timeout_s` is per try. `base_url` points at a proxy or a test server; None is Google's own address."""

    def __init__(
        self,
        model: str = "",
        api_key: str = "",
        *,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        first_delay_s: float = 1.0,
        meter: Meter | None = None,
    ) -> None:
        for setting, value in (("model", model), ("api_key", api_key)):
            if not value:  # the SDK would look for a key in the environment, which nobody configured for us
                raise BackendUnset("gemini", setting)
        try:
            from google import genai
            from google.genai import types
        except ImportError as exc:
            raise BackendMissing("gemini", "gemini") from exc
        self.name = f"gemini:{model}"
        self._model = model
        self._base_url = base_url
        self._types = types
        self._forms = Forms(_held_to, lambda schema: _held_to(bare(schema)), lambda _: {})
        self._retries = Retries(retries, first_delay_s)
        self._meter = meter or Meter()
        self._client = genai.Client(
            api_key=api_key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=base_url,
                timeout=int(timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """All that an answer depends on besides the request; the key is not part of it."""
        return {"kind": "gemini", "model": self._model, "base_url": self._base_url}

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        options = _JSON if json else {}
        return self._text(messages, max_tokens, temperature, options)

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Mapping[str, Any], *, max_tokens: int = 1024
    ) -> str:
        """Text that the server was made to fit to the schema; the caller checks it all the same."""
        return self._forms.ask(schema, lambda form: self._text(messages, max_tokens, 0.0, {**_JSON, **form}))

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        """Pieces as they come. A connection lost in the middle raises: half an answer is never passed off as one."""
        request = self.request(messages, max_tokens, temperature, {})
        said: list[str] = []
        figures: Any = None
        with self._meter.request(self.name, messages, max_tokens) as bill:
            bill.settle(None, None)  # the prompt was read, whatever becomes of the answer
            try:
                with not_retried(self.name), self._mapped():
                    for chunk in self._client.models.generate_content_stream(**request):
                        figures = chunk.usage_metadata or figures
                        if chunk.text:
                            said.append(chunk.text)
                            yield chunk.text
            finally:
                bill.settle(*_figures(figures), answer="".join(said))

    def request(
        self,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        temperature: float,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The arguments of `generate_content` for these messages."""
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        contents = [
            {
                "role": "model" if m["role"] == "assistant" else "user",
                "parts": [{"text": m["content"]}],
            }
            for m in messages
            if m["role"] != "system"
        ]
        config = self._types.GenerateContentConfig(
            system_instruction=system or None,
            temperature=temperature,
            max_output_tokens=max_tokens,
            **options,
        )
        return {"model": self._model, "contents": contents, "config": config}

    def _text(
        self,
        messages: Sequence[dict[str, str]],
        max_tokens: int,
        temperature: float,
        options: Mapping[str, Any],
    ) -> str:
        request = self.request(messages, max_tokens, temperature, options)
        with self._meter.request(self.name, messages, max_tokens) as bill:
            answer = retried(
                self.name,
                self._mapped_call(lambda: self._client.models.generate_content(**request)),
                self._retries,
            )
            bill.settle(
                *_figures(answer.usage_metadata), answer=str(answer.text or "") if answer.candidates else ""
            )
        if not answer.candidates:
            raise BadAnswer(self.name, "it holds no candidate (the prompt may have been blocked)")
        reason = answer.candidates[0].finish_reason
        if options and reason is not None and getattr(reason, "name", "") == "MAX_TOKENS":
            raise CutOff(self.name, f"it was cut off after {max_tokens} tokens")
        return str(answer.text or "")

    def _mapped_call(self, call: Callable[[], _T]) -> Callable[[], _T]:
        def mapped() -> _T:
            with self._mapped():
                return call()

        return mapped

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Every error of the SDK becomes Busy or one of ours; a server's reason is cut short, our request never shown."""
        from google.genai import errors

        try:
            yield
        except errors.APIError as exc:
            code = exc.code or 0
            if _is_quota(exc):
                raise QuotaSpent(self.name) from exc
            if code in (408, 429) or code >= 500:
                raise Busy(f"it answered {code} to every try", _after(exc)) from exc
            raise BackendRefused(
                self.name, f"{code} {' '.join(str(exc.message or '').split())[:120]}"
            ) from exc
        except _transport_errors() as exc:
            raise Busy("no connection, or no answer in time") from exc
        except ValueError as exc:  # no JSON, or not of the shape that Gemini documents
            raise BadAnswer(self.name, "it is no answer of Gemini's form; check base_url") from exc


def _held_to(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"response_json_schema": dict(schema)}


def _figures(usage: Any) -> tuple[int | None, int | None]:
    """Tokens in and out as the server counts them; what the model thought is paid for like what it says."""
    if usage is None:
        return None, None
    said, thought = usage.candidates_token_count, getattr(usage, "thoughts_token_count", None)
    return usage.prompt_token_count, None if said is None else said + (thought or 0)


def _details(exc: Any) -> list[dict[str, Any]]:
    body = exc.details.get("error", exc.details) if isinstance(exc.details, dict) else {}
    found = body.get("details") if isinstance(body, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _is_quota(exc: Any) -> bool:
    """Whether a limit that does not pass within minutes is used up: named as one of a day, or as a quota without
    any time after which to come back. Gemini answers 429 RESOURCE_EXHAUSTED to a busy minute as well."""
    if exc.code != 429:
        return False
    violations = [v for item in _details(exc) for v in item.get("violations") or () if isinstance(v, dict)]
    if any("PerDay" in str(violation.get("quotaId", "")) for violation in violations):
        return True
    return _after(exc) is None and "quota" in str(exc.message or "").lower()


def _after(exc: Any) -> float | None:
    """Seconds that the server asks to wait: its header, or `retryDelay` ("34s") among the details."""
    headers = getattr(exc.response, "headers", None)
    if headers is not None and (asked := seconds_asked(headers.get("retry-after"))) is not None:
        return asked
    delays = [str(item["retryDelay"]) for item in _details(exc) if "retryDelay" in item]
    return seconds_asked(delays[0].removesuffix("s")) if delays else None


def _transport_errors() -> tuple[type[Exception], ...]:
    """The HTTP library's errors, whichever of its two names the installed SDK uses."""
    from google.genai import errors

    libraries = [getattr(errors, name, None) for name in ("httpx2", "httpx")]
    found: list[type[Exception]] = [library.HTTPError for library in libraries if library is not None]
    return (OSError, *found)
