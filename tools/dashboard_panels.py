"""What the dashboards show: every panel with its PromQL."""

from __future__ import annotations

from dataclasses import dataclass

Targets = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel; ``targets`` are PromQL and legend, ``alarm`` is where it turns red."""

    title: str
    targets: Targets
    unit: str = "short"
    description: str = ""
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    stacked: bool = False
    alarm: float | None = None
    alarm_below: bool = False


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One file. ``uid`` is its address in Grafana."""

    name: str
    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]


AT = 'instance=~"$instance"'
RATE = "[$__rate_interval]"


def stat(title: str, expr: str, *, alarm: float | None = None, below: bool = False, **more: str) -> Panel:
    return Panel(
        title=title,
        targets=((expr, ""),),
        kind="stat",
        width=4,
        height=4,
        alarm=alarm,
        alarm_below=below,
        **more,  # type: ignore[arg-type]  # unit and description
    )


def rate(name: str, matchers: str = AT, by: str = "") -> str:
    """A second, added up over servers, by some labels."""
    group = f" by ({by})" if by else ""
    return f"sum{group} (rate({name}{{{matchers}}}{RATE}))"


def day(name: str, matchers: str) -> str:
    return f"sum(increase({name}{{{matchers}}}[24h]))"


def quantile(share: float, name: str, matchers: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({name}_bucket{{{matchers}}}{RATE})))"


ROUTE = f'{AT}, grpc_method="Route"'
HANDLING = "grpc_server_handling_seconds"
OURS = "INTERNAL|DATABASE_UNAVAILABLE|VAULT_.*"

OVERVIEW = Dashboard(
    name="overview",
    uid="imrs-overview",
    title="IMRS: overview",
    description="Whether it answers, how fast, and what it depends on.",
    panels=(
        stat("Workers that serve", f"sum(imrs_workers_serving{{{AT}}})", alarm=1, below=True),
        stat("Workers that should", f"sum(imrs_workers{{{AT}}})"),
        stat("Database", f"min(imrs_database_answers{{{AT}}})", alarm=1, below=True),
        stat("Vault", f"min(imrs_vault_answers{{{AT}}})", alarm=1, below=True),
        stat("Listener", f"min(imrs_index_connected{{{AT}}})", alarm=1, below=True),
        stat("Age of the index", f"max(imrs_index_age_seconds{{{AT}}})", unit="s", alarm=30),
        Panel(
            title="Calls",
            unit="reqps",
            stacked=True,
            targets=((rate("grpc_server_handled_total", by="grpc_method"), "{{grpc_method}}"),),
        ),
        Panel(
            title="Failed calls, by what callers were told",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_errors_total", by="reason"), "{{reason}}"),),
        ),
        Panel(
            title="Time of Route",
            description="In the server, without the network.",
            unit="s",
            targets=(
                (quantile(0.5, HANDLING, ROUTE), "p50"),
                (quantile(0.95, HANDLING, ROUTE), "p95"),
                (quantile(0.99, HANDLING, ROUTE), "p99"),
            ),
        ),
        Panel(
            title="Decisions and votes",
            unit="reqps",
            targets=(
                (rate("imrs_decisions_total"), "decisions"),
                (rate("imrs_reported_decisions_total"), "decisions of clients"),
                (rate("imrs_feedback_committed_total"), "votes"),
            ),
        ),
        Panel(
            title="Tokens a minute",
            stacked=True,
            targets=(("60 * " + rate("llm_tokens_total", AT, by="type"), "{{type}}"),),
        ),
        Panel(
            title="Cost an hour",
            unit="currencyUSD",
            targets=(("3600 * " + rate("llm_cost_usd_total", AT), "USD an hour"),),
        ),
    ),
)

ROUTING = Dashboard(
    name="routing",
    uid="imrs-routing",
    title="IMRS: routing",
    description="What is decided, why, and how long it takes.",
    panels=(
        Panel(
            title="Decisions, by reason",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_decisions_total", by="reason"), "{{reason}}"),),
        ),
        Panel(
            title="Requests without an answer",
            description="Of Route, BatchRoute and Complete: nothing eligible, unknown agents, and the like.",
            unit="reqps",
            stacked=True,
            targets=(
                (
                    rate("imrs_errors_total", f'{AT}, grpc_service="imrs.v1.RouteService"', by="reason"),
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            title="Time of Route, p95 by method",
            unit="s",
            targets=(
                (
                    quantile(
                        0.95,
                        HANDLING,
                        f'{AT}, grpc_method=~"Route|BatchRoute|ExplainRoute|DetectTask"',
                        "le, grpc_method",
                    ),
                    "{{grpc_method}}",
                ),
            ),
        ),
        Panel(
            title="Decisions by an index that may have missed changes",
            unit="percentunit",
            targets=(
                (
                    rate("imrs_stale_decisions_total") + " / " + rate("imrs_decisions_total", AT),
                    "stale",
                ),
            ),
        ),
        Panel(
            title="Models that get fewer requests",
            description="Because they, or their provider, failed of late.",
            targets=((f"max by (of) (imrs_cooling{{{AT}}})", "{{of}}"),),
        ),
        Panel(
            title="Reports of breakers, by cause",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_cooldowns_total", by="cause"), "{{cause}}"),),
        ),
        Panel(
            title="Endpoints of the model pool, by state",
            stacked=True,
            targets=((f"max by (state) (imrs_endpoints{{{AT}}})", "{{state}}"),),
        ),
        Panel(
            title="Fallbacks, by the provider that stood in",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_fallbacks_total", by="provider"), "{{provider}}"),),
        ),
        Panel(
            title="Decisions that wait to be stored, and that never will be",
            targets=(
                (f"sum(imrs_decisions_waiting{{{AT}}})", "waiting"),
                (f"sum(increase(imrs_decisions_dropped_total{{{AT}}}{RATE}))", "dropped"),
            ),
        ),
        Panel(
            title="Revision of the index",
            targets=((f"imrs_index_revision{{{AT}}}", "{{instance}}"),),
        ),
        Panel(title="Streams of WatchAgent", targets=((f"imrs_watchers{{{AT}}}", "{{instance}}"),)),
    ),
)

AGENT = f'{AT}, agent=~"$agent"'

TOKENS = Dashboard(
    name="tokens",
    uid="imrs-tokens",
    title="IMRS: tokens and cost",
    description="Who spends what, with which result.",
    panels=(
        stat("Cost, 24 h", day("llm_cost_usd_total", AGENT), unit="currencyUSD"),
        stat("Tokens, 24 h", day("llm_tokens_total", AGENT)),
        stat("Calls, 24 h", day("llm_latency_seconds_count", AGENT)),
        stat(
            "Calls of unknown price, 24 h",
            day("llm_unpriced_calls_total", AGENT),
            description="They are in no cost.",
            alarm=1,
        ),
        stat("Budgets nearly spent", f'max(imrs_budgets{{{AT}, funds="sparing"}})', alarm=1),
        stat("Budgets spent", f'max(imrs_budgets{{{AT}, funds="spent"}})', alarm=1),
        Panel(
            title="Tokens a second, by agent and kind",
            stacked=True,
            targets=((rate("llm_tokens_total", AGENT, by="agent, type"), "{{agent}} {{type}}"),),
        ),
        Panel(
            title="Cost an hour, by agent",
            unit="currencyUSD",
            stacked=True,
            targets=(("3600 * " + rate("llm_cost_usd_total", AGENT, by="agent"), "{{agent}}"),),
        ),
        Panel(
            title="Cost in the last 24 h, the ten that spend most",
            unit="currencyUSD",
            targets=(
                (f"topk(10, sum by (agent) (increase(llm_cost_usd_total{{{AGENT}}}[24h])))", "{{agent}}"),
            ),
        ),
        Panel(
            title="Tokens a call, by agent",
            targets=(
                (
                    rate("llm_tokens_total", AGENT, by="agent")
                    + " / "
                    + rate("llm_latency_seconds_count", AGENT, by="agent"),
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            title="Time of a model call, by agent",
            unit="s",
            targets=(
                (
                    rate("llm_latency_seconds_sum", AGENT, by="agent")
                    + " / "
                    + rate("llm_latency_seconds_count", AGENT, by="agent"),
                    "{{agent}}",
                ),
            ),
        ),
        Panel(
            title="Time of model calls, p50 and p95",
            unit="s",
            targets=(
                (quantile(0.5, "llm_latency_seconds", AGENT), "p50"),
                (quantile(0.95, "llm_latency_seconds", AGENT), "p95"),
            ),
        ),
        Panel(
            title="Model calls, by provider and result",
            unit="reqps",
            stacked=True,
            targets=(
                (
                    rate("imrs_model_calls_total", by="provider, result"),
                    "{{provider}} {{result}}",
                ),
            ),
        ),
        Panel(
            title="Calls refused for want of budget",
            unit="reqps",
            targets=(
                (
                    rate("imrs_errors_total", f'{AT}, reason="BUDGET_EXCEEDED"'),
                    "refused",
                ),
            ),
        ),
    ),
)

RELIABILITY = Dashboard(
    name="reliability",
    uid="imrs-reliability",
    title="IMRS: reliability",
    description="What it depends on, what waits, and what is lost.",
    panels=(
        stat("Months with partitions", f"min(imrs_partitions_ahead{{{AT}}})", alarm=1, below=True),
        stat("Keys that Vault does not give", f"max(imrs_keys_missing{{{AT}}})", alarm=1),
        stat("Providers whose sync fails", f"sum(max by (provider) (imrs_sync_failing{{{AT}}}))", alarm=1),
        stat("Ratings that SomaBrain refused", f"max(imrs_outbox_parked{{{AT}}})", alarm=1),
        stat(
            "Workers that are missing", f"sum(imrs_workers{{{AT}}} - imrs_workers_serving{{{AT}}})", alarm=1
        ),
        stat(
            "Votes without a message, 24 h",
            day("imrs_feedback_dropped_total", AT),
            alarm=1,
        ),
        Panel(
            title="Calls that failed for reasons of ours",
            unit="percentunit",
            targets=(
                (
                    rate("imrs_errors_total", f'{AT}, reason=~"{OURS}"')
                    + " / "
                    + rate("grpc_server_handled_total", AT),
                    "failed",
                ),
            ),
        ),
        Panel(
            title="Calls, by status",
            unit="reqps",
            stacked=True,
            targets=((rate("grpc_server_handled_total", by="grpc_code"), "{{grpc_code}}"),),
        ),
        Panel(
            title="What it depends on",
            description="1 is up.",
            targets=(
                (f"min(imrs_database_answers{{{AT}}})", "database"),
                (f"min(imrs_vault_answers{{{AT}}})", "vault"),
                (f"min(imrs_index_connected{{{AT}}})", "listener"),
            ),
        ),
        Panel(
            title="Age of the index", unit="s", targets=((f"imrs_index_age_seconds{{{AT}}}", "{{instance}}"),)
        ),
        Panel(
            title="Calls that run or wait, by threads",
            targets=((f"sum by (pool) (imrs_calls_in_hand{{{AT}}})", "{{pool}}"),),
        ),
        Panel(
            title="Model calls that failed, by provider",
            unit="percentunit",
            targets=(
                (
                    rate("imrs_model_calls_total", f'{AT}, result!~"ok|cancelled"', by="provider")
                    + " / "
                    + rate("imrs_model_calls_total", AT, by="provider"),
                    "{{provider}}",
                ),
            ),
        ),
        Panel(
            title="Time since a provider was synced",
            unit="s",
            targets=((f"max by (provider) (imrs_sync_age_seconds{{{AT}}})", "{{provider}}"),),
        ),
        Panel(
            title="Syncs, by result",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_syncs_total", by="result"), "{{result}}"),),
        ),
        Panel(
            title="What waits",
            targets=(
                (f"sum(imrs_feedback_waiting{{{AT}}})", "votes"),
                (f"sum(imrs_decisions_waiting{{{AT}}})", "decisions"),
                (f"max(imrs_outbox_waiting{{{AT}}})", "for SomaBrain"),
                (f"sum(imrs_messages_late{{{AT}}})", "calls of models"),
            ),
        ),
        Panel(
            title="Oldest rating that waits for SomaBrain",
            unit="s",
            targets=((f"max(imrs_outbox_oldest_seconds{{{AT}}})", "oldest"),),
        ),
        Panel(
            title="What is lost",
            targets=(
                (f"sum(increase(imrs_decisions_dropped_total{{{AT}}}{RATE}))", "decisions"),
                (f"sum(increase(imrs_messages_lost_total{{{AT}}}{RATE}))", "calls of models"),
                (f"sum(increase(imrs_outbox_dropped_total{{{AT}}}{RATE}))", "ratings for SomaBrain"),
                (f"sum(increase(imrs_outbox_refused_total{{{AT}}}{RATE}))", "ratings that it refused"),
            ),
        ),
        Panel(
            title="Configuration: drift, and a file that is not good",
            description="Things that somebody changed past the file; 1 while the last good file holds.",
            targets=(
                (f"max(imrs_config_drift{{{AT}}})", "drift"),
                (f"max(imrs_config_refused{{{AT}}})", "refused"),
            ),
        ),
        Panel(
            title="Changes of the configuration file, by result",
            unit="reqps",
            stacked=True,
            targets=((rate("imrs_config_reloads_total", by="result"), "{{result}}"),),
        ),
        Panel(
            title="Votes a commit",
            targets=(
                (
                    rate("imrs_feedback_committed_total") + " / " + rate("imrs_feedback_commits_total", AT),
                    "votes",
                ),
            ),
        ),
        Panel(
            title="Calls that began",
            unit="reqps",
            targets=((rate("grpc_server_started_total"), "calls"),),
        ),
    ),
)

DASHBOARDS = (OVERVIEW, ROUTING, TOKENS, RELIABILITY)
