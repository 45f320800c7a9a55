"""What the dashboards show: every panel with its lines."""

from __future__ import annotations

from dataclasses import dataclass

from tools.dashboard_lines import DAY, Figure, Line, Panel, each, increase, over, quantile, rate, series


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One file. ``uid`` is its address in Grafana."""

    name: str
    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]


AGENT = 'agent=~"$agent"'
ROUTE = 'grpc_method="Route"'
LIKE_ROUTE = 'grpc_method=~"Route|BatchRoute|ExplainRoute|DetectTask"'
OURS = 'reason=~"INTERNAL|DATABASE_UNAVAILABLE|VAULT_.*"'
HANDLING = "grpc_server_handling_seconds"
CALLING = "llm_latency_seconds"

OVERVIEW = Dashboard(
    name="overview",
    uid="imrs-overview",
    title="IMRS: overview",
    description="Whether it answers, how fast, and what it depends on.",
    panels=(
        Figure("Workers that serve", over("sum", "imrs_workers_serving"), alarm=1, below=True),
        Figure("Workers that should", over("sum", "imrs_workers")),
        Figure("Database", over("min", "imrs_database_answers"), alarm=1, below=True),
        Figure("Vault", over("min", "imrs_vault_answers"), alarm=1, below=True),
        Figure("Listener", over("min", "imrs_index_connected"), alarm=1, below=True),
        Figure("Age of the index", over("max", "imrs_index_age_seconds"), unit="s", alarm=30),
        Panel("Calls", rate("grpc_server_handled_total", by="grpc_method"), unit="reqps", stacked=True),
        Panel(
            "Failed calls, by what callers were told",
            rate("imrs_errors_total", by="reason"),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Time of Route",
            *(quantile(share, HANDLING, where=ROUTE) for share in (0.5, 0.95, 0.99)),
            description="In the server, without the network.",
            unit="s",
        ),
        Panel(
            "Decisions and votes",
            rate("imrs_decisions_total").named("decisions"),
            rate("imrs_reported_decisions_total").named("decisions of clients"),
            rate("imrs_feedback_committed_total").named("votes"),
            unit="reqps",
        ),
        Panel("Tokens a minute", 60 * rate("llm_tokens_total", by="type"), stacked=True),
        Panel("Cost an hour", 3600 * rate("llm_cost_usd_total").named("USD an hour"), unit="currencyUSD"),
    ),
)

ROUTING = Dashboard(
    name="routing",
    uid="imrs-routing",
    title="IMRS: routing",
    description="What is decided, why, and how long it takes.",
    panels=(
        Panel("Decisions, by reason", rate("imrs_decisions_total", by="reason"), unit="reqps", stacked=True),
        Panel(
            "Requests without an answer",
            rate("imrs_errors_total", where='grpc_service="imrs.v1.RouteService"', by="reason"),
            description="Of Route, BatchRoute and Complete: nothing eligible, unknown agents, and the like.",
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Time of Route, p95 by method",
            quantile(0.95, HANDLING, where=LIKE_ROUTE, by="grpc_method"),
            unit="s",
        ),
        Panel(
            "Decisions by an index that may have missed changes",
            (rate("imrs_stale_decisions_total") / rate("imrs_decisions_total")).named("stale"),
            unit="percentunit",
        ),
        Panel(
            "Models that get fewer requests",
            over("max", "imrs_cooling", by="of"),
            description="Because they, or their provider, failed of late.",
        ),
        Panel(
            "Reports of breakers, by cause",
            rate("imrs_cooldowns_total", by="cause"),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Endpoints of the model pool, by state", over("max", "imrs_endpoints", by="state"), stacked=True
        ),
        Panel(
            "Fallbacks, by the provider that stood in",
            rate("imrs_fallbacks_total", by="provider"),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Decisions that wait to be stored, and that never will be",
            over("sum", "imrs_decisions_waiting").named("waiting"),
            increase("imrs_decisions_dropped_total").named("dropped"),
        ),
        Panel("Revision of the index", each("imrs_index_revision")),
        Panel("Streams of WatchAgent", each("imrs_watchers")),
    ),
)

TOKENS = Dashboard(
    name="tokens",
    uid="imrs-tokens",
    title="IMRS: tokens and cost",
    description="Who spends what, with which result.",
    panels=(
        Figure("Cost, 24 h", increase("llm_cost_usd_total", DAY, where=AGENT), unit="currencyUSD"),
        Figure("Tokens, 24 h", increase("llm_tokens_total", DAY, where=AGENT)),
        Figure("Calls, 24 h", increase(f"{CALLING}_count", DAY, where=AGENT)),
        Figure(
            "Calls of unknown price, 24 h",
            increase("llm_unpriced_calls_total", DAY, where=AGENT),
            description="They are in no cost.",
            alarm=1,
        ),
        Figure("Budgets nearly spent", over("max", "imrs_budgets", where='funds="sparing"'), alarm=1),
        Figure("Budgets spent", over("max", "imrs_budgets", where='funds="spent"'), alarm=1),
        Panel(
            "Tokens a second, by agent and kind",
            rate("llm_tokens_total", where=AGENT, by="agent, type"),
            stacked=True,
        ),
        Panel(
            "Cost an hour, by agent",
            3600 * rate("llm_cost_usd_total", where=AGENT, by="agent"),
            unit="currencyUSD",
            stacked=True,
        ),
        Panel(
            "Cost in the last 24 h, the ten that spend most",
            Line(
                "topk(10, sum by (agent) "
                f"(increase({series('llm_cost_usd_total', where=AGENT, window=DAY)})))",
                "{{agent}}",
            ),
            unit="currencyUSD",
        ),
        Panel(
            "Tokens a call, by agent",
            rate("llm_tokens_total", where=AGENT, by="agent")
            / rate(f"{CALLING}_count", where=AGENT, by="agent"),
        ),
        Panel(
            "Time of a model call, by agent",
            rate(f"{CALLING}_sum", where=AGENT, by="agent")
            / rate(f"{CALLING}_count", where=AGENT, by="agent"),
            unit="s",
        ),
        Panel(
            "Time of model calls, p50 and p95",
            *(quantile(share, CALLING, where=AGENT) for share in (0.5, 0.95)),
            unit="s",
        ),
        Panel(
            "Model calls, by provider and result",
            rate("imrs_model_calls_total", by="provider, result"),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Calls refused for want of budget",
            rate("imrs_errors_total", where='reason="BUDGET_EXCEEDED"').named("refused"),
            unit="reqps",
        ),
    ),
)

RELIABILITY = Dashboard(
    name="reliability",
    uid="imrs-reliability",
    title="IMRS: reliability",
    description="What it depends on, what waits, and what is lost.",
    panels=(
        Figure("Months with partitions", over("min", "imrs_partitions_ahead"), alarm=1, below=True),
        Figure("Keys that Vault does not give", over("max", "imrs_keys_missing"), alarm=1),
        Figure(
            "Providers whose sync fails",
            Line(f"sum({over('max', 'imrs_sync_failing', by='provider').expr})"),
            alarm=1,
        ),
        Figure("Ratings that SomaBrain refused", over("max", "imrs_outbox_parked"), alarm=1),
        Figure(
            "Workers that are missing",
            Line(f"sum({series('imrs_workers')} - {series('imrs_workers_serving')})"),
            alarm=1,
        ),
        Figure("Votes without a message, 24 h", increase("imrs_feedback_dropped_total", DAY), alarm=1),
        Panel(
            "Calls that failed for reasons of ours",
            (rate("imrs_errors_total", where=OURS) / rate("grpc_server_handled_total")).named("failed"),
            unit="percentunit",
        ),
        Panel(
            "Calls, by status", rate("grpc_server_handled_total", by="grpc_code"), unit="reqps", stacked=True
        ),
        Panel(
            "What it depends on",
            over("min", "imrs_database_answers").named("database"),
            over("min", "imrs_vault_answers").named("vault"),
            over("min", "imrs_index_connected").named("listener"),
            description="1 is up.",
        ),
        Panel("Age of the index", each("imrs_index_age_seconds"), unit="s"),
        Panel("Calls that run or wait, by threads", over("sum", "imrs_calls_in_hand", by="pool")),
        Panel(
            "Model calls that failed, by provider",
            rate("imrs_model_calls_total", where='result!~"ok|cancelled"', by="provider")
            / rate("imrs_model_calls_total", by="provider"),
            unit="percentunit",
        ),
        Panel(
            "Time since a provider was synced", over("max", "imrs_sync_age_seconds", by="provider"), unit="s"
        ),
        Panel("Syncs, by result", rate("imrs_syncs_total", by="result"), unit="reqps", stacked=True),
        Panel(
            "What waits",
            over("sum", "imrs_feedback_waiting").named("votes"),
            over("sum", "imrs_decisions_waiting").named("decisions"),
            over("max", "imrs_outbox_waiting").named("for SomaBrain"),
            over("sum", "imrs_messages_late").named("calls of models"),
        ),
        Panel(
            "Oldest rating that waits for SomaBrain",
            over("max", "imrs_outbox_oldest_seconds").named("oldest"),
            unit="s",
        ),
        Panel(
            "What is lost",
            increase("imrs_decisions_dropped_total").named("decisions"),
            increase("imrs_messages_lost_total").named("calls of models"),
            increase("imrs_outbox_dropped_total").named("ratings for SomaBrain"),
            increase("imrs_outbox_refused_total").named("ratings that it refused"),
        ),
        Panel(
            "Configuration: drift, and a file that is not good",
            over("max", "imrs_config_drift").named("drift"),
            over("max", "imrs_config_refused").named("refused"),
            description="Things that somebody changed past the file; 1 while the last good file holds.",
        ),
        Panel(
            "Changes of the configuration file, by result",
            rate("imrs_config_reloads_total", by="result"),
            unit="reqps",
            stacked=True,
        ),
        Panel(
            "Votes a commit",
            (rate("imrs_feedback_committed_total") / rate("imrs_feedback_commits_total")).named("votes"),
        ),
        Panel("Calls that began", rate("grpc_server_started_total").named("calls"), unit="reqps"),
    ),
)

DASHBOARDS = (OVERVIEW, ROUTING, TOKENS, RELIABILITY)
