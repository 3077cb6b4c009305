"""Gemini through `google-genai` (its predecessor `google-generativeai` is end-of-life: docs/adr/0003).

The key is always given; neither it nor the choice of service is read from the environment. System messages
become the system instruction, assistant turns the role "model". Times-out, 429 and 5xx are retried by the SDK
with exponential back-off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from agents.errors import BackendMissing, BackendRefused, BackendUnreachable, BackendUnset, BadAnswer


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
        self._types = types
        self._client = genai.Client(
            api_key=api_key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=base_url,
                timeout=int(timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=retries + 1, initial_delay=first_delay_s),
            ),
        )

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        json: bool = False,
    ) -> str:
        options = {"response_mime_type": "application/json"} if json else {}
        return self._text(messages, max_tokens, temperature, options)

    def complete_json(
        self, messages: Sequence[dict[str, str]], schema: Mapping[str, Any], *, max_tokens: int = 1024
    ) -> str:
        """Text that the server was made to fit to the schema; the caller checks it all the same."""
        options = {"response_mime_type": "application/json", "response_json_schema": dict(schema)}
        return self._text(messages, max_tokens, 0.0, options)

    def stream(
        self, messages: Sequence[dict[str, str]], *, max_tokens: int = 512, temperature: float = 0.0
    ) -> Iterator[str]:
        """Pieces as they come. A connection lost in the middle raises: half an answer is never passed off as one."""
        request = self.request(messages, max_tokens, temperature, {})
        with self._mapped():
            for chunk in self._client.models.generate_content_stream(**request):
                if chunk.text:
                    yield chunk.text

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
        with self._mapped():
            answer = self._client.models.generate_content(**request)
        if not answer.candidates:
            raise BadAnswer(self.name, "it holds no candidate (the prompt may have been blocked)")
        reason = answer.candidates[0].finish_reason
        if options and reason is not None and getattr(reason, "name", "") == "MAX_TOKENS":
            raise BadAnswer(self.name, f"it was cut off after {max_tokens} tokens")
        return str(answer.text or "")

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Every error of the SDK becomes one of ours; a server's reason is cut short, our request never shown."""
        from google.genai import errors

        try:
            yield
        except errors.APIError as exc:
            code = exc.code or 0
            if code in (408, 429) or code >= 500:
                raise BackendUnreachable(self.name, f"it answered {code} to every try") from exc
            raise BackendRefused(
                self.name, f"{code} {' '.join(str(exc.message or '').split())[:120]}"
            ) from exc
        except _transport_errors() as exc:
            raise BackendUnreachable(self.name, "no connection, or no answer in time") from exc


def _transport_errors() -> tuple[type[Exception], ...]:
    """The HTTP library's errors, whichever of its two names the installed SDK uses."""
    from google.genai import errors

    libraries = [getattr(errors, name, None) for name in ("httpx2", "httpx")]
    found: list[type[Exception]] = [library.HTTPError for library in libraries if library is not None]
    return (OSError, *found)
