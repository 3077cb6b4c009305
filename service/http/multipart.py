"""A form with a file in it, read as it comes: the file goes to whoever takes it, short fields are kept.

python-multipart finds the parts; what is bounded here is the rest: fields, their sizes, and one file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from service.errors import BadUpload

FILE = "file"  # the field that holds it
MAX_FIELDS, MAX_FIELD_BYTES = 64, 4096


def is_form(content_type: str) -> bool:
    return parse_options_header(content_type)[0] == b"multipart/form-data"


@dataclass(slots=True)
class Form:
    """What has come of a form: `fields` in their order, the file's name where it gave one."""

    take: Callable[[bytes], None]  # a piece of the file
    fields: list[tuple[str, str]] = field(default_factory=list)
    file_name: str | None = None
    is_whole: bool = False
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _name: str = ""
    _is_file: bool = False
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""

    def parser(self, content_type: str) -> FormParser:
        """Raises BadUpload where the header names no boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not 0 < len(boundary) <= 256:
            raise BadUpload("the form names no boundary; let your program set Content-Type by itself")
        return FormParser(self, boundary)

    def on_part_begin(self) -> None:
        self._disposition, self._name, self._is_file = b"", "", False
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        if self._is_file:
            if self.file_name is not None or self._name != FILE:
                raise BadUpload(f"a form holds one file, as `{FILE}`")
            self.file_name = options[b"filename"].decode("utf-8", "replace")
        elif len(self.fields) >= MAX_FIELDS:
            raise BadUpload(f"a form has up to {MAX_FIELDS} fields here")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.take(data[start:end])
            return
        self._value.extend(data[start:end])
        if len(self._value) > MAX_FIELD_BYTES:
            raise BadUpload(f"a field of the form is longer than {MAX_FIELD_BYTES} bytes")

    def on_part_end(self) -> None:
        if not self._is_file:
            self.fields.append((self._name, self._value.decode("utf-8", "replace")))

    def on_end(self) -> None:
        self.is_whole = True


class FormParser:
    """Feeds a form with the bytes of a body."""

    def __init__(self, form: Form, boundary: bytes) -> None:
        self._form = form
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.on_part_begin,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_end": form.on_end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Raises BadUpload, and what taking the file raises."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise BadUpload("the form is malformed") from error

    def finish(self) -> None:
        """Raises BadUpload where the form breaks off or holds no file."""
        if not self._form.is_whole:
            raise BadUpload("the form breaks off")
        if self._form.file_name is None:
            raise BadUpload(f"the form holds no file; send it as `{FILE}`")
