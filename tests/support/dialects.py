"""Every provider's list in the shape that its documentation gives, in pages where it has pages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.provider import FakeProvider, Received

KEY = "sk-sentinel-0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One provider: its pages by path and query, the header that must hold the key, the models in them."""

    dialect: str
    base: str
    pages: dict[str, Any]
    key_header: tuple[str, str]
    models: tuple[str, ...]
    invalid: int = 0
    # The member that holds the list; "" for a bare array.
    member: str = "data"
    # The member that holds the id.
    name: str = "id"
    options: dict[str, Any] = field(default_factory=dict)
    endpoint: str = "/models"
    shown: dict[str, Any] = field(default_factory=dict)

    def play(self, provider: FakeProvider) -> None:
        """Make the provider answer in this shape; whatever else it is asked is not found."""
        provider.body = b'{"error": {"message": "no such path", "code": 404}}'
        for path, answer in self.pages.items():
            provider.page(path, json.dumps(answer).encode())
        if self.shown:
            provider.page("/api/show", self._show)

    def list(self, items: list[Any]) -> bytes:
        """An answer of one page with these items."""
        return json.dumps({self.member: items} if self.member else items).encode()

    @property
    def first(self) -> str:
        """Path and query of the first page."""
        return next(iter(self.pages))

    def _show(self, received: Received) -> bytes:
        return json.dumps(self.shown[json.loads(received.body)["model"]]).encode()


BEARER = ("authorization", f"Bearer {KEY}")


def _supported(*names: str) -> dict[str, Any]:
    every = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    return {name: {"supported": name in names} for name in (*every, "thinking")}


OPENROUTER = Shape(
    dialect="openrouter",
    base="/api/v1",
    key_header=BEARER,
    models=("anthropic/claude-sonnet-4.5", "meta-llama/llama-3.3-70b:free", "openrouter/auto"),
    pages={
        "/api/v1/models?output_modalities=all": {
            "data": [
                {
                    "id": "anthropic/claude-sonnet-4.5",
                    "name": "Anthropic: Claude Sonnet 4.5",
                    "context_length": 1_000_000,
                    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
                    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
                    "supported_parameters": ["tools"],
                },
                {"id": "meta-llama/llama-3.3-70b:free", "pricing": {"prompt": "0", "completion": "0"}},
            ],
            "links": {"next": "/api/v1/models?output_modalities=all&offset=2"},
            "total_count": 3,
        },
        "/api/v1/models?output_modalities=all&offset=2": {
            "data": [{"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}}],
            "links": {"next": None},
            "total_count": 3,
        },
    },
)
OPENAI = Shape(
    dialect="openai",
    base="/v1",
    key_header=BEARER,
    models=("gpt-5", "text-embedding-3-small", "gpt-4-0314"),
    pages={
        "/v1/models": {
            "object": "list",
            "data": [
                {"id": "gpt-5", "object": "model", "created": 1_754_425_928, "owned_by": "openai"},
                {"id": "text-embedding-3-small", "object": "model", "created": 1, "owned_by": "system"},
                {"id": "gpt-4-0314", "object": "model", "created": 1, "shutdown_date": "2027-01-15"},
            ],
        }
    },
)
ANTHROPIC = Shape(
    dialect="anthropic",
    base="/v1",
    key_header=("x-api-key", KEY),
    models=("claude-opus-4-6", "claude-haiku-4-5", "claude-3-old"),
    pages={
        "/v1/models?limit=1000": {
            "data": [
                {
                    "type": "model",
                    "id": "claude-opus-4-6",
                    "display_name": "Claude Opus 4.6",
                    "created_at": "2026-02-04T00:00:00Z",
                    "max_input_tokens": 1_000_000,
                    "max_tokens": 128_000,
                    "capabilities": _supported("image_input", "pdf_input", "structured_outputs", "thinking"),
                },
                {
                    "type": "model",
                    "id": "claude-haiku-4-5",
                    "display_name": "Claude Haiku 4.5",
                    "max_input_tokens": 200_000,
                    "max_tokens": 64_000,
                    "capabilities": _supported("image_input"),
                },
            ],
            "has_more": True,
            "first_id": "claude-opus-4-6",
            "last_id": "claude-haiku-4-5",
        },
        "/v1/models?limit=1000&after_id=claude-haiku-4-5": {
            "data": [{"type": "model", "id": "claude-3-old", "display_name": "Old", "capabilities": None}],
            "has_more": False,
            "first_id": "claude-3-old",
            "last_id": "claude-3-old",
        },
    },
)
AZURE = Shape(
    dialect="azure",
    base="",
    endpoint="/openai/models",
    key_header=("api-key", KEY),
    models=("gpt-4o-2024-08-06", "text-embedding-3-large"),
    invalid=1,
    pages={
        "/openai/models?api-version=2024-10-21": {
            "data": [
                {
                    "id": "gpt-4o-2024-08-06",
                    "object": "model",
                    "status": "succeeded",
                    "lifecycle_status": "generally-available",
                    "capabilities": {"inference": True, "chat_completion": True, "embeddings": False},
                    "deprecation": {"inference": 1_900_000_000},
                },
                {
                    "id": "text-embedding-3-large",
                    "object": "model",
                    "capabilities": {"inference": True, "chat_completion": False, "embeddings": True},
                },
                {"id": "babbage-tuning-only", "capabilities": {"inference": False, "fine_tune": True}},
            ]
        }
    },
)
GEMINI = Shape(
    dialect="gemini",
    base="/v1beta",
    key_header=("x-goog-api-key", KEY),
    member="models",
    name="name",
    models=("gemini-2.5-pro", "imagen-4.0-generate-001", "gemini-embedding-001"),
    pages={
        "/v1beta/models?pageSize=1000": {
            "models": [
                {
                    "name": "models/gemini-2.5-pro",
                    "version": "2.5",
                    "displayName": "Gemini 2.5 Pro",
                    "inputTokenLimit": 1_048_576,
                    "outputTokenLimit": 65_536,
                    "supportedGenerationMethods": ["generateContent", "countTokens"],
                    "thinking": True,
                },
                {
                    "name": "models/imagen-4.0-generate-001",
                    "supportedGenerationMethods": ["predict"],
                    "inputTokenLimit": 480,
                },
            ],
            "nextPageToken": "Ch9t/b2R=",
        },
        "/v1beta/models?pageSize=1000&pageToken=Ch9t%2Fb2R%3D": {
            "models": [
                {
                    "name": "models/gemini-embedding-001",
                    "inputTokenLimit": 2_048,
                    "supportedGenerationMethods": ["embedContent"],
                }
            ]
        },
    },
)
OLLAMA = Shape(
    dialect="ollama",
    base="/v1",
    endpoint="/api/tags",
    key_header=("authorization", ""),
    member="models",
    name="name",
    models=("llama3.2-vision:11b", "nomic-embed-text:latest"),
    pages={
        "/api/tags": {
            "models": [
                {
                    "name": "llama3.2-vision:11b",
                    "model": "llama3.2-vision:11b",
                    "modified_at": "2026-05-01T10:00:00Z",
                    "size": 7_901_829_417,
                    "digest": "085a1fdae525",
                    "details": {"format": "gguf", "family": "mllama", "parameter_size": "9.8B"},
                },
                {"name": "nomic-embed-text:latest", "model": "nomic-embed-text:latest", "size": 274_302_450},
            ]
        }
    },
    shown={
        "llama3.2-vision:11b": {
            "capabilities": ["completion", "vision", "tools", "thinking"],
            "model_info": {"general.architecture": "mllama", "mllama.context_length": 131_072},
        },
        "nomic-embed-text:latest": {
            "capabilities": ["embedding"],
            "model_info": {"general.architecture": "nomic-bert", "nomic-bert.context_length": 2_048},
        },
    },
)
VLLM = Shape(
    dialect="vllm",
    base="/v1",
    key_header=BEARER,
    models=("Qwen/Qwen3-Coder", "sql-adapter"),
    pages={
        "/v1/models": {
            "object": "list",
            "data": [
                {
                    "id": "Qwen/Qwen3-Coder",
                    "object": "model",
                    "owned_by": "vllm",
                    "root": "Qwen/Qwen3-Coder",
                    "parent": None,
                    "max_model_len": 262_144,
                    "permission": [{"id": "modelperm-1"}],
                },
                {"id": "sql-adapter", "root": "/loras/sql", "parent": "Qwen/Qwen3-Coder"},
            ],
        }
    },
)
GROQ = Shape(
    dialect="groq",
    base="/openai/v1",
    key_header=BEARER,
    models=("llama-3.3-70b-versatile", "whisper-large-v3"),
    invalid=1,
    pages={
        "/openai/v1/models": {
            "object": "list",
            "data": [
                {
                    "id": "llama-3.3-70b-versatile",
                    "object": "model",
                    "owned_by": "Meta",
                    "active": True,
                    "context_window": 131_072,
                    "max_completion_tokens": 32_768,
                    "public_apps": None,
                },
                {"id": "whisper-large-v3", "active": True, "context_window": 448},
                {"id": "mixtral-8x7b-32768", "active": False, "context_window": 32_768},
            ],
        }
    },
)
TOGETHER = Shape(
    dialect="together",
    base="/v1",
    key_header=BEARER,
    member="",
    models=(
        "meta-llama/Llama-3.3-70B",
        "meta-llama/Llama-3.3-70B-Free",
        "black-forest-labs/FLUX.1",
        "rented",
    ),
    invalid=1,
    pages={
        "/v1/models": [
            {
                "id": "meta-llama/Llama-3.3-70B",
                "type": "chat",
                "display_name": "Llama 3.3 70B",
                "context_length": 131_072,
                "pricing": {"hourly": 0, "input": 0.88, "output": 0.88, "base": 0, "finetune": 0},
            },
            {
                "id": "meta-llama/Llama-3.3-70B-Free",
                "type": "chat",
                "pricing": {"hourly": 0, "input": 0, "output": 0, "base": 0, "finetune": 0},
            },
            {"id": "black-forest-labs/FLUX.1", "type": "image", "pricing": {"input": 0, "output": 0}},
            {"id": "rented", "type": "chat", "pricing": {"hourly": 0, "input": 0, "output": 0}},
            {"id": "meta-llama/Llama-Guard-4", "type": "moderation"},
        ]
    },
)
MISTRAL = Shape(
    dialect="mistral",
    base="/v1",
    key_header=BEARER,
    models=("mistral-large-2411", "mistral-embed", "codestral-2508"),
    invalid=2,
    pages={
        "/v1/models": {
            "object": "list",
            "data": [
                {
                    "id": "mistral-large-2411",
                    "name": "mistral-large-2411",
                    "aliases": ["mistral-large-latest"],
                    "max_context_length": 131_072,
                    "deprecation": "2027-03-31T12:00:00Z",
                    "capabilities": {
                        "completion_chat": True,
                        "function_calling": True,
                        "vision": True,
                        "reasoning": False,
                    },
                },
                {
                    "id": "mistral-large-latest",
                    "name": "mistral-large-2411",
                    "aliases": ["mistral-large-2411"],
                    "capabilities": {"completion_chat": True, "function_calling": True},
                },
                {"id": "mistral-embed", "aliases": [], "capabilities": {"completion_chat": False}},
                {
                    "id": "codestral-2508",
                    "capabilities": {"completion_chat": True, "completion_fim": True},
                    "deprecation": None,
                },
                {"id": "mistral-moderation-2411", "capabilities": {"completion_chat": False}},
            ],
        }
    },
)
COHERE = Shape(
    dialect="cohere",
    base="/v2",
    key_header=BEARER,
    member="models",
    name="name",
    models=("command-a-03-2025", "embed-v4.0", "rerank-v3.5"),
    invalid=1,
    pages={
        "/v1/models?page_size=1000": {
            "models": [
                {
                    "name": "command-a-03-2025",
                    "endpoints": ["generate", "chat", "summarize"],
                    "finetuned": False,
                    "context_length": 288_000,
                    "is_deprecated": False,
                    "features": ["json_mode", "json_schema", "tools", "tool_choice", "vision"],
                },
                {"name": "embed-v4.0", "endpoints": ["embed"], "context_length": 128_000, "features": None},
            ],
            "next_page_token": "cGFnZT0y",
        },
        "/v1/models?page_size=1000&page_token=cGFnZT0y": {
            "models": [
                {"name": "rerank-v3.5", "endpoints": ["rerank"], "context_length": 4_096},
                {"name": "our-classifier", "endpoints": ["classify"]},
            ],
            "next_page_token": "",
        },
    },
)
CUSTOM = Shape(
    dialect="custom",
    base="/llm",
    key_header=BEARER,
    member="models",
    name="name",
    models=("alpha", "beta"),
    pages={"/llm/models": {"models": [{"name": "alpha", "context_length": 4_096}, {"model": "beta"}]}},
)

SHAPES = {
    shape.dialect: shape
    for shape in (
        OPENROUTER,
        OPENAI,
        ANTHROPIC,
        AZURE,
        GEMINI,
        OLLAMA,
        VLLM,
        GROQ,
        TOGETHER,
        MISTRAL,
        COHERE,
        CUSTOM,
    )
}
