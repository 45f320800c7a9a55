"""The schema of a configuration file: document 003's agents, and IMRS's own sections."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from imrs_server.config_file.kinds import (
    AgentId,
    Count,
    ExternalId,
    LabelText,
    Line,
    ModelId,
    ModelIds,
    Name,
    Part,
    Positive,
    Priority,
    ProviderId,
    Role,
    Share,
    Struct,
    Text,
    Time,
    Url,
    UrlPath,
    Usd,
    Word,
    WordOrNothing,
    Words,
    duration,
)

CostTier: TypeAlias = Literal["FREE", "LOW", "STANDARD", "PREMIUM"]
ModelType: TypeAlias = Literal["CHAT", "EMBEDDING", "IMAGE", "AUDIO", "RERANK"]
RatedSignal: TypeAlias = Literal["THUMBS_UP", "THUMBS_DOWN", "REGENERATE", "COPY", "CONTINUE", "ABANDON"]
FeedbackKind: TypeAlias = Literal[
    "EXPLICIT", "IMPLICIT", "SELF_EVAL", "THUMBS_UP", "THUMBS_DOWN", "REGENERATE", "COPY", "CONTINUE",
    "ABANDON", "EVALUATION", "SCORE",
]  # fmt: skip
SyncInterval: TypeAlias = duration(60, 366 * 86_400)  # type: ignore[valid-type]
IdleTime: TypeAlias = duration(0, 366 * 86_400)  # type: ignore[valid-type]
Window: TypeAlias = duration(1, 3660 * 86_400)  # type: ignore[valid-type]
HalfLife: TypeAlias = duration(1, 3660 * 86_400, or_zero=True)  # type: ignore[valid-type]


class Parameters(Part):
    """What goes into a model call; what is left out is left to the level below."""

    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Share | None = None
    max_output_tokens: Positive | None = None
    stop: Annotated[list[LabelText] | None, Field(max_length=16)] = None
    extra: Struct = {}


class RoutingPolicy(Part):
    """How candidates are scored; what is left out is left to the level below."""

    priority_weight: Share | None = None
    experience_weight: Share | None = None
    scoring: Literal["POOLED", "SRS"] | None = None
    exploration: Literal["UCB", "OFF", "EPSILON"] | None = None
    exploration_rate: Share | None = None
    cost_preference: Literal["CHEAPER_WHEN_SIMILAR", "NONE"] | None = None
    similarity_margin: Share | None = None
    half_life: HalfLife | None = None
    max_cost_tier: CostTier | None = None
    session_affinity: bool | None = None
    require_credentials: bool | None = None
    max_latency_ms: Positive | None = None
    max_error_rate: Share | None = None
    signal_ratings: dict[RatedSignal, Share] = {}
    feedback_weights: dict[FeedbackKind, Annotated[float, Field(ge=0, le=100)]] = {}
    shadow: RoutingPolicy | None = None


class DataPolicy(Part):
    """What a provider does with the data of a call; what is left out is unknown."""

    regions: Annotated[list[Line], Field(max_length=100)] = []
    trains_on_data: bool | None = None
    retains_data: bool | None = None


class Provider(Part):
    """An LLM API. Of gradient, claude, mistral and openai the rest is known; keys are never in a file."""

    display_name: Line | None = None
    provider_type: Literal["OPENROUTER", "OPENAI", "ANTHROPIC", "AZURE", "OLLAMA", "CUSTOM"] | None = None
    dialect: (
        Literal[
            "openai", "openrouter", "anthropic", "azure", "gemini", "ollama", "vllm", "groq", "together",
            "mistral", "cohere",
        ]
        | None
    ) = None  # fmt: skip
    api_base: Url | None = None
    models_endpoint: UrlPath | None = None
    options: Struct = {}
    pool_url: Url | None = None
    rate_limit_rpm: Positive | None = None
    sync_interval: SyncInterval | None = None
    data_policy: DataPolicy | None = None
    state: Literal["ACTIVE", "DISABLED"] = "ACTIVE"


class Model(Part):
    """A model of the catalogue; what the file says of it, no sync overwrites."""

    display_name: Line | None = None
    model_type: ModelType | None = None
    capabilities: Words = []
    domains: Words = []
    priority: Priority | None = None
    cost_tier: CostTier | None = None
    context_length: Count | None = None
    max_output_tokens: Count | None = None
    price_state: Literal["PRICE_KNOWN", "PRICE_FREE", "PRICE_VARIABLE", "PRICE_UNKNOWN"] | None = None
    input_price_usd: Usd | None = None
    output_price_usd: Usd | None = None
    cached_input_price_usd: Usd | None = None
    parameters: Parameters = Parameters()
    available: bool | None = None
    retire_time: Time | None = None
    metadata: Struct = {}


class AgentModel(Part):
    """A model that an agent may use, and how."""

    enabled: bool = True
    priority_override: Priority | None = None
    parameters: Parameters = Parameters()
    context_length: Count | None = None
    input_price_usd: Usd | None = None
    output_price_usd: Usd | None = None
    fallback_model_ids: ModelIds | None = None
    allowed_roles: Annotated[list[Role], Field(max_length=100)] = []
    metadata: Struct = {}


class Agent(Part):
    """An agent. With ``model`` it uses this one; with ``models`` those of the mapping."""

    model: ExternalId | None = Field(None, description="The provider's own name of the model.")
    provider: ProviderId | None = Field(None, description="Of the model; else the file's.")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=256, le=128_000)] | None = None
    cost_per_1m_tokens: Annotated[Usd, Field(gt=0)] | None = None
    context_window: Positive | None = None
    use_case: Text | None = None
    tags: Annotated[list[Line], Field(max_length=100)] = []
    langsmith_project: LabelText | None = Field(None, description="Kept as a label.")

    display_name: Line | None = None
    agent_class: Line | None = None
    labels: Annotated[dict[Line, LabelText], Field(max_length=100)] = {}
    metadata: Struct = {}
    capsule: Struct | None = None
    default_model_id: ModelId | None = None
    parameters: Parameters = Parameters()
    routing: RoutingPolicy = RoutingPolicy()
    fallback_model_ids: ModelIds | None = None
    state: Literal["ACTIVE", "DISABLED"] = "ACTIVE"
    models: dict[ModelId, AgentModel] = {}


class Rule(Part):
    """A standing rule: every model that has all this, now or later, is enabled for the agent."""

    provider_id: ProviderId | None = None
    cost_tier: CostTier | None = None
    capabilities: Words = []
    domains: Words = []
    model_type: ModelType | None = None
    available: bool | None = None
    search: Line | None = None
    min_context_length: Count | None = None
    max_input_price_usd: Usd | None = None
    priority_override: Priority | None = None


class Preference(Part):
    """What a class of agents prefers, best first."""

    model_ids: Annotated[list[ModelId], Field(min_length=1, max_length=20)]
    parameters: Parameters = Parameters()


class Endpoint(Part):
    """A place that serves a model of the pool."""

    model_id: ModelId
    base_url: Url
    weight: Annotated[int, Field(ge=1, le=10**6)] = 1
    ttl: IdleTime | None = Field(None, description="Unloaded after so long without a call.")


class Budget(Part):
    """What an agent, or the whole tenant, may spend in a window; there is one of each window."""

    agent_id: AgentId | None = Field(None, description="The agent; else the whole tenant.")
    window: Window
    limit_usd: Usd | None = None
    limit_tokens: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None


class TaskRules(Part):
    """How task types are told; they go over the built-in rules."""

    tools: Annotated[dict[Name, WordOrNothing], Field(max_length=1000)] = {}
    mime_types: Annotated[dict[Name, WordOrNothing], Field(max_length=1000)] = {}
    words: Annotated[dict[Word, Annotated[list[Line], Field(max_length=200)]], Field(max_length=1000)] = {}


class Defaults(Part):
    """What holds where an agent does not say otherwise."""

    parameters: Parameters = Parameters()
    routing: RoutingPolicy = RoutingPolicy()
    default_model_id: ModelId | None = None
    task_rules: TaskRules = TaskRules()


def _version(value: Any) -> Any:
    # Without quotes it is a number, and meant the same.
    return "1.0" if value in (1, 1.0) and not isinstance(value, bool) else value


Version: TypeAlias = Annotated[
    Literal["1.0"], BeforeValidator(_version), WithJsonSchema({"enum": ["1.0", 1.0], "default": "1.0"})
]


class ConfigFile(Part):
    """A whole file, the overrides of one environment merged into it."""

    version: Version = "1.0"
    provider: ProviderId = Field("gradient", description="Of agents that name a model and no provider.")
    global_defaults: Defaults | None = Field(None, description="For all tenants; for platform admins.")
    defaults: Defaults | None = Field(None, description="Of the tenant.")
    policies: dict[Name, RoutingPolicy] = Field({}, description="Routing policies to name in `routing`.")
    providers: dict[ProviderId, Provider] = Field({}, description="For platform admins.")
    models: dict[ModelId, Model] = Field({}, description="For platform admins.")
    endpoints: dict[AgentId, Endpoint] = Field({}, description="The model pool; for platform admins.")
    preferences: dict[Line, Preference] = Field(
        {}, description="By class of agents, `*` for all others; for platform admins."
    )
    agents: dict[AgentId, Agent] = {}
    rules: dict[AgentId, Annotated[list[Rule], Field(max_length=100)]] = Field(
        {}, description="Standing rules by agent."
    )
    budgets: Annotated[list[Budget], Field(max_length=1000)] = []
