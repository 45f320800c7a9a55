"""Conversations, tools and addresses in the shapes that providers document."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.adapters.chat import doors
from imrs_server.adapters.chat.anthropic import AnthropicVoice
from imrs_server.adapters.chat.openai import OpenAIVoice
from imrs_server.adapters.chat.text import Pieces
from imrs_server.domain.chat import (
    ChatFailure,
    ChatMessage,
    ChatRequest,
    DataPart,
    FailureKind,
    ImagePart,
    TextPart,
    ToolCall,
)
from imrs_server.domain.parameters import Parameters
from tests.support.chat_shapes import KEY, access, request

PIXEL = b"\x89PNG"
IN_BASE64 = base64.b64encode(PIXEL).decode()
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city",
        "parameters": {"type": "object", "properties": {"days": {"type": "integer", "maximum": 7.0}}},
    },
}
TALK = (
    ChatMessage(role="system", content="Be brief"),
    ChatMessage(role="user", content="Look", parts=(ImagePart("https://example.com/a.png"), TextPart("?"))),
    ChatMessage(
        role="assistant",
        content="Looking",
        tool_calls=(
            ToolCall(id="a", name="weather", arguments='{"days": 1}'),
            ToolCall(id="b", name="weather", arguments=""),
        ),
    ),
    ChatMessage(role="tool", content="sunny", tool_call_id="a", name="weather"),
    ChatMessage(role="tool", content="rainy", tool_call_id="b"),
    ChatMessage(role="user", content="And tomorrow?", name="ada"),
)


def openai(wanted: ChatRequest, dialect: str = "openai", **options: Any) -> dict[str, Any]:
    provider = access("https://llm.example.com/v1", dialect, **options)
    return dict(json.loads(OpenAIVoice().compose(provider, wanted).call.body or b""))


def anthropic(wanted: ChatRequest) -> dict[str, Any]:
    provider = access("https://api.anthropic.com/v1", "anthropic")
    return dict(json.loads(AnthropicVoice().compose(provider, wanted).call.body or b""))


def test_a_conversation_for_openai() -> None:
    assert openai(request(messages=TALK))["messages"] == [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "text", "text": "?"},
            ],
        },
        {
            "role": "assistant",
            "content": "Looking",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"days": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "a", "name": "weather"},
        {"role": "tool", "content": "rainy", "tool_call_id": "b"},
        {"role": "user", "content": "And tomorrow?", "name": "ada"},
    ]


def test_a_conversation_for_anthropic() -> None:
    body = anthropic(request(messages=TALK))

    assert body["system"] == [{"type": "text", "text": "Be brief"}]
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "text", "text": "?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking"},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"days": 1}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "sunny"}]},
                {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "rainy"}]},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
    ]


@pytest.mark.parametrize("part", [ImagePart("https://a/b.png", "low"), DataPart(b"x", "image/png", "low")])
def test_how_closely_to_look_at_an_image_is_passed_on_or_named(part: ImagePart | DataPart) -> None:
    asked = request(messages=(ChatMessage(role="user", parts=(part,)),))
    [image] = openai(asked)["messages"][0]["content"]
    assert image["image_url"]["detail"] == "low"
    for dialect, voice in (("ollama", OpenAIVoice()), ("anthropic", AnthropicVoice())):
        composed = voice.compose(access("https://llm.example.com/v1", dialect), asked)
        assert b"low" not in (composed.call.body or b"")
        assert composed.dropped == ("image_url.detail",)


@pytest.mark.parametrize("dialect", ["mistral", "groq", "cohere"])
def test_speakers_lose_their_names_where_names_are_an_error(dialect: str) -> None:
    assert all("name" not in each for each in openai(request(messages=TALK), dialect)["messages"])


def test_a_call_alone_has_no_text_beside_it() -> None:
    message = ChatMessage(role="assistant", tool_calls=(ToolCall(id="a", name="weather"),))

    assert openai(request(messages=(message,)))["messages"][0]["content"] is None


def part(data: bytes, kind: str) -> ChatRequest:
    return request(messages=(ChatMessage(role="user", parts=(DataPart(data, kind),)),))


PARTS: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]] = {
    "image/png": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IN_BASE64}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IN_BASE64}},
    ),
    "audio/wav": ({"type": "input_audio", "input_audio": {"data": IN_BASE64, "format": "wav"}}, None),
    "application/pdf": (
        {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{IN_BASE64}"},
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": IN_BASE64},
        },
    ),
    "text/csv": ({"type": "text", "text": "\ufffdPNG"}, {"type": "text", "text": "\ufffdPNG"}),
    "application/zip": (None, None),
    "": (None, None),
}


@pytest.mark.parametrize("kind", PARTS)
def test_bytes_go_in_the_way_that_fits_their_type_and_are_never_left_out(kind: str) -> None:
    for expected, voice in zip(PARTS[kind], (openai, anthropic), strict=True):
        if expected is not None:
            assert voice(part(PIXEL, kind))["messages"][0]["content"] == [expected]
            continue
        with pytest.raises(ChatFailure) as caught:
            voice(part(PIXEL, kind))
        assert caught.value.kind is FailureKind.UNSUPPORTED


def test_an_image_in_a_data_url_goes_to_anthropic_as_bytes() -> None:
    image = ImagePart(f"data:image/png;base64,{IN_BASE64}")
    body = anthropic(request(messages=(ChatMessage(role="user", parts=(image,)),)))

    source = {"type": "base64", "media_type": "image/png", "data": IN_BASE64}
    assert body["messages"][0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize("arguments", ["{", "[1]", "5", "[" * 100_000])
def test_arguments_that_are_no_object_are_refused_and_not_repeated(arguments: str) -> None:
    call = ToolCall(id="a", name="weather", arguments=arguments)
    with pytest.raises(ChatFailure) as caught:
        anthropic(request(messages=(ChatMessage(role="assistant", tool_calls=(call,)),)))

    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert arguments not in str(caught.value) or len(arguments) == 1


def test_a_conversation_of_system_texts_alone_is_refused_for_anthropic() -> None:
    with pytest.raises(ChatFailure, match="without a user"):
        anthropic(request(messages=(ChatMessage(role="system", content="x"),)))


CHOICES: list[tuple[str, Any, Any]] = [
    ("", None, None),
    ("auto", "auto", {"type": "auto"}),
    ("none", "none", {"type": "none"}),
    ("required", "required", {"type": "any"}),
    ("weather", {"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
]


@pytest.mark.parametrize(("choice", "for_openai", "for_anthropic"), CHOICES)
def test_tools_and_the_choice_among_them(choice: str, for_openai: Any, for_anthropic: Any) -> None:
    wanted = request(tools=(TOOL,), tool_choice=choice)
    schema = {"type": "object", "properties": {"days": {"type": "integer", "maximum": 7}}}

    told = openai(wanted)
    assert told["tools"][0]["function"]["parameters"] == schema
    assert "7.0" not in json.dumps(told["tools"])
    assert told.get("tool_choice") == for_openai

    told = anthropic(wanted)
    assert told["tools"] == [{"name": "weather", "description": "Of a city", "input_schema": schema}]
    assert told.get("tool_choice") == for_anthropic


def test_mistral_has_its_own_word_for_required() -> None:
    assert openai(request(tools=(TOOL,), tool_choice="required"), "mistral")["tool_choice"] == "any"


def test_one_tool_at_a_time() -> None:
    wanted = request(tools=(TOOL,), parameters=Parameters(extra={"parallel_tool_calls": False}))

    assert openai(wanted)["parallel_tool_calls"] is False
    assert anthropic(wanted)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_a_choice_without_tools_is_dropped() -> None:
    wanted = request(tool_choice="required")
    provider = access("https://llm.example.com/v1")

    for voice in (OpenAIVoice(), AnthropicVoice()):
        composed = voice.compose(provider, wanted)
        assert composed.dropped == ("tool_choice",)
        assert b"tool_choice" not in (composed.call.body or b"")


def test_a_tool_of_the_providers_own_goes_as_it_is() -> None:
    own = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5.0}

    assert anthropic(request(tools=(own,)))["tools"] == [{**own, "max_uses": 5}]


def test_a_shape_of_the_answer() -> None:
    schema = {"type": "object", "properties": {}}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    assert openai(request(response_format=shape))["response_format"] == shape
    assert anthropic(request(response_format=shape))["output_config"] == {
        "format": {"type": "json_schema", "schema": schema}
    }


DOORS: list[tuple[str, str, str, str]] = [
    ("openai", "https://api.openai.com/v1", "/models", "https://api.openai.com/v1/chat/completions"),
    ("openai", "https://llm.example.com", "/v1/models", "https://llm.example.com/v1/chat/completions"),
    ("openai", "https://llm.example.com/v1/", "/models?x=1", "https://llm.example.com/v1/chat/completions"),
    ("openai", "https://llm.example.com/v1", "/catalogue", "https://llm.example.com/v1/chat/completions"),
    (
        "openrouter",
        "https://openrouter.ai/api/v1",
        "/models",
        "https://openrouter.ai/api/v1/chat/completions",
    ),
    ("groq", "https://api.groq.com/openai/v1", "/models", "https://api.groq.com/openai/v1/chat/completions"),
    ("vllm", "http://10.0.0.5:8000", "/v1/models", "http://10.0.0.5:8000/v1/chat/completions"),
    ("ollama", "http://10.0.0.5:11434", "/api/tags", "http://10.0.0.5:11434/v1/chat/completions"),
    ("ollama", "http://10.0.0.5:11434/v1", "/api/tags", "http://10.0.0.5:11434/v1/chat/completions"),
    (
        "cohere",
        "https://api.cohere.com/v1",
        "/models",
        "https://api.cohere.com/compatibility/v1/chat/completions",
    ),
    (
        "cohere",
        "https://api.cohere.com/v2",
        "/models",
        "https://api.cohere.com/compatibility/v1/chat/completions",
    ),
    (
        "cohere",
        "https://api.cohere.ai/compatibility/v1",
        "/models",
        "https://api.cohere.ai/compatibility/v1/chat/completions",
    ),
    (
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "/models",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
    ),
    (
        "azure",
        "https://x.openai.azure.com",
        "/openai/models",
        "https://x.openai.azure.com/openai/deployments/our%2Fm/chat/completions?api-version=2024-10-21",
    ),
    (
        "azure",
        "https://x.openai.azure.com/openai/",
        "/models",
        "https://x.openai.azure.com/openai/deployments/our%2Fm/chat/completions?api-version=2024-10-21",
    ),
    (
        "azure",
        "https://x.openai.azure.com/openai/v1",
        "/models",
        "https://x.openai.azure.com/openai/v1/chat/completions",
    ),
]


@pytest.mark.parametrize(("dialect", "base", "endpoint", "url"), DOORS)
def test_where_the_door_is(dialect: str, base: str, endpoint: str, url: str) -> None:
    assert doors.url_of(access(base, dialect, endpoint=endpoint), "our/m") == url


def test_the_key_goes_into_one_header_and_nowhere_else() -> None:
    for dialect, header in (("openai", "authorization"), ("azure", "api-key"), ("anthropic", "x-api-key")):
        provider = access("https://llm.example.com", dialect, headers={"x-team": "a", header: "stolen"})
        voice = AnthropicVoice() if dialect == "anthropic" else OpenAIVoice()
        call = voice.compose(provider, request()).call

        assert [name for name, value in call.headers.items() if KEY in value] == [header]
        assert call.headers["x-team"] == "a"
        assert KEY not in call.url
        assert KEY.encode() not in (call.body or b"")
        assert KEY not in repr(call)


@pytest.mark.parametrize(("dialect", "asked"), [("openai", True), ("mistral", False), ("cohere", False)])
def test_usage_is_asked_for_where_that_is_no_error(dialect: str, asked: bool) -> None:
    assert ("stream_options" in openai(request(), dialect)) is asked
    assert "stream_options" not in openai(request(stream=False), dialect)


@given(st.text(), st.lists(st.integers(0, 40)))
def test_text_is_the_same_wherever_it_was_cut(text: str, cuts: list[int]) -> None:
    """As JSON has it: in units of UTF-16, where a character may be two."""
    raw = text.encode("utf-16-le")
    bounds = sorted({0, *(2 * cut for cut in cuts if 2 * cut < len(raw)), len(raw)})
    pieces = Pieces()

    joined = "".join(
        pieces.add(raw[start:end].decode("utf-16-le", "surrogatepass"))
        for start, end in zip(bounds, [*bounds[1:], len(raw)], strict=True)
    )

    assert joined == text


@given(st.lists(st.text(st.characters(categories=["Cs", "Ll"]))))
def test_every_piece_is_text_on_its_own(pieces: list[str]) -> None:
    joiner = Pieces()

    for piece in pieces:
        joiner.add(piece).encode()
