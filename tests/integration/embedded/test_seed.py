"""The demo data of ``imrs dev``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.cli.dev_seed import plant
from imrs_server.domain.principal import Role
from imrs_server.embedded.echo import MODELS, Echo
from tests.support.service import serving

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from tests.conftest import Vault

FREE = (pb.Model.PriceState.PRICE_FREE, pb.Model.CostTier.FREE)


def prices(client: ImrsClient) -> list[tuple[int, int]]:
    listed = client.catalog.ListModels(pb.ListModelsRequest(filter=pb.ModelFilter(provider_id="echo")))
    assert len(listed.models) == len(MODELS)
    return [(each.price_state, each.cost_tier) for each in listed.models]


def test_the_echo_stays_free_when_it_is_synced(database: str, vault: Vault) -> None:
    with serving(database, vault) as service, Echo() as echo:
        plant(service.app, echo)
        platform = service.client(Role.PLATFORM_ADMIN)
        assert prices(platform) == [FREE] * len(MODELS)
        *_, last = platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="echo"))
        assert last.result.models_discovered == len(MODELS)
        assert prices(platform) == [FREE] * len(MODELS)


def test_what_an_admin_says_of_the_echo_stays(database: str, vault: Vault) -> None:
    with serving(database, vault) as service, Echo() as echo:
        plant(service.app, echo)
        platform = service.client(Role.PLATFORM_ADMIN)
        dear = pb.Model(model_id="echo/echo-small", input_price_usd="1", output_price_usd="2")
        platform.catalog.UpdateModel(pb.UpdateModelRequest(model=dear))
        gone = pb.DeleteModelRequest(model_id="echo/echo-large")
        platform.catalog.DeleteModel(gone)
        plant(service.app, echo)
        kept = platform.catalog.GetModel(pb.GetModelRequest(model_id=dear.model_id))
        assert (kept.input_price_usd, kept.price_state) == ("1", pb.Model.PriceState.PRICE_KNOWN)
