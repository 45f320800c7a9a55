"""Errors as providers word them, and the kind that each is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.adapters.chat import failures
from imrs_server.domain.chat import ChatFailure, FailureKind
from imrs_server.domain.secret import Secret

K = FailureKind
KEY = "sk-proj-0123456789abcdefghijklmnop"


def openai(message: str = "", kind: str = "", code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# Who says it, the status, the body, the kind, and whether the same may go well in a moment.
SAID: list[tuple[str, int, Any, FailureKind, bool]] = [
    ("openai", 401, openai("Incorrect API key", "invalid_request_error", "invalid_api_key"), K.AUTH, False),
    ("openai", 403, openai("Country not supported", "request_forbidden"), K.AUTH, False),
    (
        "openai",
        429,
        openai("Rate limit reached for gpt-4o", "tokens", "rate_limit_exceeded"),
        K.RATE_LIMITED,
        True,
    ),
    (
        "openai",
        429,
        openai("You exceeded your current quota, please check your plan", "insufficient_quota"),
        K.RATE_LIMITED,
        False,
    ),
    ("openai", 500, openai("The server had an error", "server_error"), K.OVERLOADED, True),
    ("openai", 503, openai("The engine is currently overloaded", "server_error"), K.OVERLOADED, True),
    (
        "openai",
        400,
        openai("This model's maximum context length is 128000 tokens.", "x", "context_length_exceeded"),
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "openai",
        400,
        openai("flagged", "invalid_request_error", "content_policy_violation"),
        K.CONTENT_REFUSED,
        False,
    ),
    ("openai", 400, openai("Invalid prompt: was flagged", "x", "invalid_prompt"), K.CONTENT_REFUSED, False),
    ("openai", 404, openai("The model `gpt-9` does not exist", "x", "model_not_found"), K.NOT_FOUND, False),
    ("openai", 404, openai("Invalid URL (POST /v2/x)", "invalid_request_error"), K.INVALID_RESPONSE, False),
    (
        "openai",
        400,
        openai("Unsupported parameter: 'top_k'", "x", "unsupported_parameter"),
        K.BAD_REQUEST,
        False,
    ),
    (
        "openai",
        400,
        openai("Invalid schema for function 'billing_moderation_lookup': model tool x", "x"),
        K.BAD_REQUEST,
        False,
    ),
    (
        "azure",
        400,
        {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        K.CONTENT_REFUSED,
        False,
    ),
    (
        "azure",
        404,
        openai("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
        K.NOT_FOUND,
        False,
    ),
    ("azure", 404, openai("Resource not found", code="404"), K.INVALID_RESPONSE, False),
    (
        "anthropic",
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 2 > 1"}},
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "anthropic",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
            },
        },
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "anthropic",
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"},
        },
        K.RATE_LIMITED,
        False,
    ),
    (
        "anthropic",
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "no",
                "details": {"error_code": "enforced_spend_limit_reached"},
            },
        },
        K.RATE_LIMITED,
        False,
    ),
    ("anthropic", 402, {"type": "error", "error": {"type": "billing_error"}}, K.RATE_LIMITED, False),
    ("anthropic", 413, {"type": "error", "error": {"type": "request_too_large"}}, K.CONTEXT_TOO_LONG, False),
    ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error"}}, K.OVERLOADED, True),
    (
        "anthropic",
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}},
        K.NOT_FOUND,
        False,
    ),
    (
        "anthropic",
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "Not Found"}},
        K.INVALID_RESPONSE,
        False,
    ),
    (
        "gemini",
        400,
        [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
        K.AUTH,
        False,
    ),
    (
        "gemini",
        400,
        [{"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number"}}],
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "gemini",
        404,
        [{"error": {"code": 404, "message": "models/g is not found for API version v1beta"}}],
        K.NOT_FOUND,
        False,
    ),
    (
        "gemini",
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
        K.RATE_LIMITED,
        True,
    ),
    ("gemini", 503, [{"error": {"code": 503, "message": "The model is overloaded."}}], K.OVERLOADED, True),
    ("openrouter", 402, openai("Insufficient credits", code=402), K.RATE_LIMITED, False),
    (
        "openrouter",
        403,
        openai("This model requires moderation on OpenInference. Your input was flagged", code=403),
        K.CONTENT_REFUSED,
        False,
    ),
    ("openrouter", 404, openai("No endpoints found for x/y.", code=404), K.NOT_FOUND, False),
    ("openrouter", 404, openai("No endpoints found that support tool use", code=404), K.BAD_REQUEST, False),
    ("openrouter", 408, openai("timed out", code=408), K.TIMEOUT, True),
    (
        "openrouter",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"code": "context_length_exceeded"}', "provider_name": "X"},
            }
        },
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "mistral",
        400,
        {"object": "error", "message": "Invalid model: m", "type": "invalid_model"},
        K.NOT_FOUND,
        False,
    ),
    (
        "mistral",
        422,
        {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"]}]}},
        K.BAD_REQUEST,
        False,
    ),
    ("mistral", 429, {"message": "Requests rate limit exceeded"}, K.RATE_LIMITED, True),
    ("cohere", 400, {"message": "too many tokens: size limit exceeded by 9"}, K.CONTEXT_TOO_LONG, False),
    ("cohere", 401, {"message": "invalid api token"}, K.AUTH, False),
    ("cohere", 498, {"message": "blocked"}, K.OVERLOADED, True),
    (
        "groq",
        413,
        openai("Request too large for model", "tokens", "rate_limit_exceeded"),
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "groq",
        400,
        openai("The model `m` has been decommissioned", "x", "model_decommissioned"),
        K.NOT_FOUND,
        False,
    ),
    ("groq", 400, openai("Failed to call a function", "x", "tool_use_failed"), K.BAD_REQUEST, False),
    ("ollama", 404, {"error": "model 'llama9' not found"}, K.NOT_FOUND, False),
    (
        "ollama",
        404,
        openai('model "llama9" not found, try pulling it first', "api_error"),
        K.NOT_FOUND,
        False,
    ),
    ("ollama", 500, openai("model requires more system memory (9 GiB)", "api_error"), K.OVERLOADED, True),
    ("ollama", 400, openai("registry.ollama.ai/x does not support tools", "x"), K.BAD_REQUEST, False),
    (
        "vllm",
        404,
        {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404},
        K.NOT_FOUND,
        False,
    ),
    (
        "vllm",
        400,
        {"object": "error", "message": "This model's maximum context length is 9 tokens.", "code": 400},
        K.CONTEXT_TOO_LONG,
        False,
    ),
    ("llama.cpp", 400, openai("exceeds", "exceed_context_size_error", 400), K.CONTEXT_TOO_LONG, False),
    ("llama.cpp", 500, openai("the request exceeds the available context size"), K.CONTEXT_TOO_LONG, False),
    ("llama.cpp", 503, openai("Loading model", "unavailable_error", 503), K.OVERLOADED, True),
    (
        "together",
        400,
        openai("`inputs` tokens + `max_new_tokens` must be <= 4097", "x"),
        K.CONTEXT_TOO_LONG,
        False,
    ),
    (
        "litellm",
        400,
        openai("Invalid model name passed in model=m.", "invalid_request_error", "400"),
        K.NOT_FOUND,
        False,
    ),
    ("fastapi", 422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, K.BAD_REQUEST, False),
    ("a proxy", 502, "<html><h1>Bad gateway: prompt is too long</h1>", K.OVERLOADED, True),
    ("a proxy", 504, "", K.TIMEOUT, True),
    ("a proxy", 404, "<html>model not found</html>", K.INVALID_RESPONSE, False),
    ("a proxy", 307, "", K.INVALID_RESPONSE, False),
    ("nobody", 204, "", K.INVALID_RESPONSE, False),
    ("nobody", 418, "null", K.BAD_REQUEST, False),
    ("nobody", 500, "[]", K.OVERLOADED, True),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "again"),
    [case[1:] for case in SAID],
    ids=[f"{number}-{who}-{status}" for number, (who, status, *_) in enumerate(SAID)],
)
def test_every_provider_is_understood(status: int, body: Any, kind: FailureKind, again: bool) -> None:
    text = body if isinstance(body, str) else json.dumps(body)

    failure = failures.of_answer(status, {}, text.encode(), Secret(KEY))

    assert (failure.kind, failure.again) == (kind, again)
    assert failure.detail.endswith(f"(HTTP {status})")


# An error in the middle of an answer has no status.
INSIDE: list[tuple[Any, FailureKind]] = [
    (openai("Overloaded", "overloaded_error"), K.OVERLOADED),
    (openai("no", "rate_limit_error"), K.RATE_LIMITED),
    (openai("no", code="rate_limit_exceeded"), K.RATE_LIMITED),
    (openai("Provider returned error", code=429), K.RATE_LIMITED),
    (openai("Provider disconnected", code=502), K.OVERLOADED),
    (openai("no", "invalid_request_error"), K.BAD_REQUEST),
    (openai("no", "authentication_error"), K.AUTH),
    (openai("no", code=99), K.OVERLOADED),
    ({"error": "an error was encountered while running the model"}, K.OVERLOADED),
    ({"error": {"code": True, "message": None, "type": ["x"]}}, K.OVERLOADED),
    ({"error": "prompt is too long"}, K.CONTEXT_TOO_LONG),
    ("nonsense", K.OVERLOADED),
    (None, K.OVERLOADED),
]


@pytest.mark.parametrize(("error", "kind"), INSIDE)
def test_an_error_inside_an_answer_is_understood(error: Any, kind: FailureKind) -> None:
    failure = failures.of_error(error, None)

    assert failure.kind is kind
    assert failure.status is None


def test_a_provider_may_say_that_trying_again_is_useless() -> None:
    failure = failures.of_answer(429, {"x-should-retry": "false", "retry-after": "5"}, b"{}", None)

    assert failure.kind is K.RATE_LIMITED
    assert not failure.again


@given(st.text(), st.text(), st.sampled_from([0, 8, 12, 20, len(KEY)]))
def test_no_piece_of_the_key_is_repeated(before: str, after: str, length: int) -> None:
    said = failures.said(
        f"{before}{KEY[:length]}{after}{KEY.upper()[-length:] if length else ''}", Secret(KEY)
    )

    assert all(KEY[at : at + 8] not in said.lower() for at in range(len(KEY) - 7))
    assert said.isprintable()


@given(st.integers(100, 599), st.binary(max_size=300))
def test_any_answer_is_a_failure_of_some_kind(status: int, body: bytes) -> None:
    failure = failures.of_answer(status, {}, body, Secret(KEY))

    assert isinstance(failure, ChatFailure)
    assert failure.kind is not K.MID_STREAM
