"""``/metrics`` of a server with two workers, and what else tells of its calls."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from imrs_client.errors import NotFound
from imrs_client.v1 import GetProviderRequest, ListProvidersRequest
from tests.support import patience
from tests.support.scraped import get, value
from tests.support.waiting import eventually
from tests.support.workers import await_ready, by_worker, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Vault
    from tests.support.serve import Serve


def handled(serve: Serve, method: str, code: str = "OK") -> float:
    return value(serve, "grpc_server_handled_total", grpc_method=method, grpc_code=code)


def test_what_workers_counted_adds_up_and_outlives_them(database: str, vault: Vault, tmp_path: Path) -> None:
    with serving(database, vault, tmp_path) as serve:
        with by_worker(serve) as clients:
            for count, client in enumerate(clients.values(), 1):
                for _ in range(10 * count):
                    client.admin.ListProviders(ListProvidersRequest())
                with pytest.raises(NotFound):
                    client.admin.GetProvider(GetProviderRequest(provider_id="nobody"))
            eventually(lambda: handled(serve, "ListProviders") == 30)
            eventually(lambda: handled(serve, "GetProvider", "NotFound") == 2)
            assert value(serve, "grpc_server_started_total", grpc_method="ListProviders") == 30
            seconds = "grpc_server_handling_seconds"
            assert value(serve, f"{seconds}_count", grpc_method="ListProviders") == 30
            assert value(serve, f"{seconds}_bucket", grpc_method="ListProviders", le="10.0") == 30
            assert value(serve, "imrs_index_connected") == 1
            assert value(serve, "imrs_index_revision") >= 1
            assert 0 <= value(serve, "imrs_index_age_seconds") < patience.SECONDS
            eventually(lambda: value(serve, "imrs_vault_answers") == 1)
            assert value(serve, "imrs_workers") == value(serve, "imrs_workers_serving") == 2
            os.kill(next(iter(clients)), signal.SIGKILL)
        await_ready(serve, after="worker.died")
        assert handled(serve, "ListProviders") == 30
        eventually(lambda: value(serve, "imrs_index_connected") == 1)
        assert serve.terminate() == 0


def test_without_figures_there_is_no_page_and_calls_may_be_logged_instead(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault, tmp_path, metrics="false", access_log="true") as serve:
        assert get(serve)[0] == 404
        with by_worker(serve) as clients:
            for client in clients.values():
                with pytest.raises(NotFound):
                    client.admin.GetProvider(GetProviderRequest(provider_id="nobody"))
        method = "/imrs.v1.AdminService/GetProvider"

        def told() -> list[tuple[int, str, str]]:
            calls = [each for each in serve.events if each["event"] == "call" and each["method"] == method]
            return [(each["worker"], each["code"], each["principal"]) for each in calls]

        eventually(lambda: sorted(told()) == [(0, "NOT_FOUND", "ops"), (1, "NOT_FOUND", "ops")])
