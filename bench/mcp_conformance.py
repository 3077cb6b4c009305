"""The official conformance scenarios against our MCP over HTTP: `python -m bench.mcp_conformance --scratch DIR`.

npm installs `@modelcontextprotocol/conformance` into the scratch folder; it needs node 22 (`--node`). Two runs, over the
same guard and transport of one daemon: against its own `/mcp`, and against a server beside it that has the tools,
resources and prompts that most scenarios call by name.

own, fixed: scenarios that pass; those that fail, with what was said first.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from bench.mcp_peer import installed
from bench.report import print_result
from service.http.application import create_app
from service.mcp.http import Endpoints
from service.mcp.server import bare_server
from service.settings import Settings
from service.spaces import Spaces

FIXED = "/mcp/fixed"
PACKAGE, RELEASE = "@modelcontextprotocol/conformance", "0.1.16"
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SILENCE = base64.b64encode(
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0"
).decode()
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mcp_conformance", description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--node", default="node", help="node 22 or newer")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    script = installed(args.scratch, PACKAGE, RELEASE) / "dist" / "index.js"
    listed = subprocess.run(
        [args.node, str(script), "list", "--server"], capture_output=True, text=True, check=True
    )
    names = [line.split()[1] for line in listed.stdout.splitlines() if line.startswith("  - ")]
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as address:
        tried = Tried(args.node, script, Path(folder))
        numbers = {
            "own": outcomes(tried, f"{address}/mcp", names),
            "fixed": outcomes(tried, address + FIXED, names),
        }
    print_result({"scenarios": len(names), **numbers}, seed=0, started=started)
    return 0


@dataclass(frozen=True)
class Tried:
    node: str
    script: Path
    folder: Path  # for what the scenarios write


def outcomes(tried: Tried, url: str, names: Sequence[str]) -> dict[str, Any]:
    passed, failed = list[str](), dict[str, str]()
    for name in names:
        why = run(tried, url, name)
        if why is None:
            passed.append(name)
        else:
            failed[name] = why
    return {"passed": len(passed), "pass": passed, "fail": failed}


def run(tried: Tried, url: str, name: str) -> str | None:
    """None where the scenario passes, else the first thing that it says is wrong."""
    folder = tried.folder
    before = set(folder.glob("results/*"))
    command = [tried.node, str(tried.script), "server", "--url", url, "--scenario", name, "-o", "results"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no end within 60 s"
    checks = [
        check
        for path in sorted(set(folder.glob("results/*")) - before)
        for check in json.loads((path / "checks.json").read_text(encoding="utf-8"))
    ]
    wrong = [check for check in checks if check["status"] == "FAILURE"]
    if not wrong and done.returncode == 0:
        return None
    return str(wrong[0].get("errorMessage") or wrong[0]["description"])[:160] if wrong else done.stdout[-160:]


class Daemon:
    """The application behind its guard, on a free port of this machine, with one more server at FIXED."""

    def __init__(self, home: Path) -> None:
        self._spaces = Spaces(Settings(home=home / "home"))
        app = create_app(self._spaces)
        more, own = Endpoints(self._spaces, {FIXED: fixed_server()}), app.router.lifespan_context

        @asynccontextmanager
        async def both(running: Any) -> AsyncIterator[None]:
            async with own(running), more.running():
                yield

        app.router.lifespan_context = both
        app.router.routes.extend(more.routes)
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        """The address, without a path."""
        self._thread.start()
        while not self._server.started:
            time.sleep(0.05)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        self._spaces.close()


# What the scenarios call by name


def fixed_server() -> Server[Any]:
    return bare_server(
        "fixed",
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_templates,
        on_read_resource=_read,
        on_list_prompts=_list_prompts,
        on_get_prompt=_get_prompt,
        on_completion=_complete,
    )


def _image() -> types.ImageContent:
    return types.ImageContent(data=_PIXEL, mime_type="image/png")


def _embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    )


def _contents() -> dict[str, list[types.ContentBlock]]:
    note = _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return {
        "test_simple_text": [types.TextContent(text="This is a simple text response for testing.")],
        "test_image_content": [_image()],
        "test_audio_content": [types.AudioContent(data=_SILENCE, mime_type="audio/wav")],
        "test_embedded_resource": [
            _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        ],
        "test_multiple_content_types": [
            types.TextContent(text="Multiple content types test:"),
            _image(),
            note,
        ],
        "test_tool_with_logging": [types.TextContent(text="logged")],
        "test_tool_with_progress": [types.TextContent(text="done")],
        "json_schema_2020_12_tool": [types.TextContent(text="ok")],
    }


_SCHEMA_2020: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}


async def _list_tools(_: Any, __: Any) -> types.ListToolsResult:
    tools = []
    for name in (*_contents(), "test_error_handling"):
        schema = _SCHEMA_2020 if name.startswith("json_schema") else _NO_ARGUMENTS
        tools.append(types.Tool(name=name, description=f"Called by a scenario: {name}", input_schema=schema))
    return types.ListToolsResult(tools=tools)


async def _call_tool(context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
    if asked.name == "test_error_handling":
        said = types.TextContent(text="This tool intentionally returns an error for testing")
        return types.CallToolResult(content=[said], is_error=True)
    if asked.name == "test_tool_with_progress":
        for done in (0, 50, 100):
            await context.session.report_progress(done, 100)
    if asked.name == "test_tool_with_logging":
        for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.session.send_log_message("info", text, related_request_id=context.request_id)
    return types.CallToolResult(content=_contents()[asked.name])


_TEXT, _BINARY = "test://static-text", "test://static-binary"


async def _list_resources(_: Any, __: Any) -> types.ListResourcesResult:
    text = types.Resource(uri=_TEXT, name="text", description="A text", mime_type="text/plain")
    binary = types.Resource(uri=_BINARY, name="binary", description="A picture", mime_type="image/png")
    return types.ListResourcesResult(resources=[text, binary])


async def _list_templates(_: Any, __: Any) -> types.ListResourceTemplatesResult:
    one = types.ResourceTemplate(
        uri_template="test://template/{id}/data", name="data", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[one])


async def _read(_: Any, asked: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(asked.uri)
    found: types.TextResourceContents | types.BlobResourceContents
    if uri == _TEXT:
        found = types.TextResourceContents(
            uri=uri, mime_type="text/plain", text="A text of a static resource."
        )
    elif uri == _BINARY:
        found = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=_PIXEL)
    elif uri.startswith("test://template/"):
        number = uri.split("/")[3]
        text = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        found = types.TextResourceContents(uri=uri, mime_type="application/json", text=text)
    else:
        raise MCPError(types.INVALID_PARAMS, "no such resource")
    return types.ReadResourceResult(contents=[found])


async def _list_prompts(_: Any, __: Any) -> types.ListPromptsResult:
    given = [types.PromptArgument(name=name, description=name, required=True) for name in ("arg1", "arg2")]
    uri = [types.PromptArgument(name="resourceUri", description="a resource", required=True)]
    every = (
        types.Prompt(name="test_simple_prompt", description="a prompt"),
        types.Prompt(name="test_prompt_with_arguments", description="a prompt", arguments=given),
        types.Prompt(name="test_prompt_with_embedded_resource", description="a prompt", arguments=uri),
        types.Prompt(name="test_prompt_with_image", description="a prompt"),
    )
    return types.ListPromptsResult(prompts=list(every))


async def _get_prompt(_: Any, asked: types.GetPromptRequestParams) -> types.GetPromptResult:
    given = asked.arguments or {}
    texts = {
        "test_simple_prompt": "This is a simple prompt for testing.",
        "test_prompt_with_arguments": f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'",
        "test_prompt_with_embedded_resource": "Please process the embedded resource above.",
        "test_prompt_with_image": "Please analyze the image above.",
    }
    blocks: list[types.ContentBlock] = [types.TextContent(text=texts[asked.name])]
    if "embedded" in asked.name:
        blocks.insert(
            0, _embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
        )
    if "image" in asked.name:
        blocks.insert(0, _image())
    messages = [types.PromptMessage(role="user", content=block) for block in blocks]
    return types.GetPromptResult(messages=messages)


async def _complete(_: Any, __: types.CompleteRequestParams) -> types.CompleteResult:
    return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))


if __name__ == "__main__":
    raise SystemExit(main())
