"""The catalogue of models, as admins read and edit it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.domain.amendment import amended
from imrs_server.domain.curation import MUTABLE, edited
from imrs_server.domain.errors import (
    InvalidRequest,
    ModelExists,
    ModelNotFound,
    ProviderNotFound,
    Violation,
)
from imrs_server.domain.model import BulkResult, Model
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State, require_etag
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, model_changes, models, providers
from imrs_server.use_cases import catalogue_feed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.model import BulkUpdate, ModelFilter
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.sync import ModelChange
    from imrs_server.storage.database import Database, Tx

MODEL_ID_LENGTH = 255


class Catalog:
    """Writes run as ``Database.system``, because standing rules of every tenant may catch what changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, who: Principal, page: PageRequest, filter: ModelFilter, *, show_deleted: bool = False
    ) -> Page[Model]:
        who.require(Role.PLATFORM_ADMIN, Role.TENANT_ADMIN)
        with self._database.transaction() as tx:
            return models.list_page(tx, page, filter, show_deleted=show_deleted)

    def get(self, who: Principal, model_id: str) -> Model:
        """The model, also a deleted one. Raises ModelNotFound."""
        who.require(Role.PLATFORM_ADMIN, Role.TENANT_ADMIN)
        with self._database.transaction() as tx:
            return _found(models.get(tx, model_id), model_id)

    def create(
        self, who: Principal, provider_id: str, external_id: str, fields: Mapping[str, Any]
    ) -> Written[Model]:
        """Add a model by hand; what ``fields`` says, no sync overwrites.

        Raises ProviderNotFound, ModelExists, InvalidRequest.
        """
        who.require(Role.PLATFORM_ADMIN)
        model_id = f"{provider_id}/{external_id}"
        if len(model_id) > MODEL_ID_LENGTH:
            raise InvalidRequest(
                Violation("model.external_id", f"model_id is longer than {MODEL_ID_LENGTH} characters")
            )
        blank = Model(
            model_id=model_id, provider_id=provider_id, external_id=external_id, display_name=external_id
        )
        # Unset on create, the tier follows from the price, and stays with it.
        fields = {"cost_tier": None, **fields}
        with self._database.system() as tx:
            models.hold(tx, provider_id)
            provider = providers.get(tx, provider_id)
            if provider is None or provider.state is State.DELETED:
                raise ProviderNotFound(provider_id=provider_id)
            created = models.insert(tx, edit(blank, fields))
            if created is None:
                raise ModelExists(model_id=model_id)
            audit.write(tx, who, "CreateModel", ("model", model_id), after=created)
            return Written(created, catalogue_feed.announce(tx, [model_id]))

    def update(
        self, who: Principal, model_id: str, fields: Mapping[str, Any], *, etag: str = ""
    ) -> Written[Model]:
        """Change the named fields, some by an Amendment; from then on no sync overwrites them.

        Raises ModelNotFound, EtagMismatch, InvalidRequest.
        """
        with self._changing(who, "UpdateModel", model_id, etag) as change:
            if change.before.delete_time is not None:
                raise ModelNotFound(model_id=model_id)
            return change.commit(edit(change.before, amended(change.before, fields)))

    def delete(self, who: Principal, model_id: str, *, etag: str = "") -> Written[Model]:
        """Soft: it stays deleted through syncs. Deleting twice is no error."""
        with self._changing(who, "DeleteModel", model_id, etag) as change:
            if change.before.delete_time is not None:
                return change.unwritten()
            return change.commit(replace(change.before, delete_time=datetime.now(UTC)))

    def undelete(self, who: Principal, model_id: str, *, etag: str = "") -> Written[Model]:
        """Bring it back as it was; the next sync brings it up to date."""
        with self._changing(who, "UndeleteModel", model_id, etag) as change:
            if change.before.delete_time is None:
                return change.unwritten()
            return change.commit(replace(change.before, delete_time=None))

    def bulk_update(
        self, who: Principal, filter: ModelFilter, update: BulkUpdate, *, validate_only: bool = False
    ) -> Written[BulkResult]:
        """Change every model that passes a filter, such as all free ones. Raises InvalidRequest.

        With ``validate_only`` it counts what would change, and changes nothing.
        """
        who.require(Role.PLATFORM_ADMIN)
        fields = {name: value for name, value in asdict(update).items() if value is not None}
        if not fields:
            raise InvalidRequest(Violation("update", "must set available, priority or cost_tier"))
        with self._database.system() as tx:
            models.hold(tx, filter.provider_id)
            matched = models.count(tx, filter)
            if validate_only:
                differing = models.count_differing(tx, filter, update)
                result = BulkResult(matched_count=matched, updated_count=differing)
                return Written(result, changes.current(tx).rev)
            written = models.update_matching(tx, filter, update)
            result = BulkResult(matched_count=matched, updated_count=len(written))
            if not written:
                return Written(result, changes.current(tx).rev)
            audit.write(
                tx,
                who,
                "BulkUpdateModels",
                ("model", "*"),
                after={"filter": _set_fields(filter), "update": fields, **asdict(result)},
            )
            return Written(result, catalogue_feed.announce(tx, written))

    def lose(self, model_id: str) -> None:
        """Let a model be missing, as its provider says that it does not know it; the next list may bring it
        back.
        """
        with self._database.system() as tx:
            models.hold(tx, model_id.partition("/")[0])
            change = models.lose(tx, model_id)
            if change is not None:
                model_changes.log(tx, [change])
                catalogue_feed.announce(tx, [model_id])

    def list_changes(
        self,
        who: Principal,
        page: PageRequest,
        *,
        model_id: str = "",
        provider_id: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Page[ModelChange]:
        """What syncs changed in one model, or in those of one provider.

        Raises InvalidRequest unless exactly one is named, ModelNotFound, ProviderNotFound.
        """
        who.require(Role.PLATFORM_ADMIN)
        if bool(model_id) == bool(provider_id):
            raise InvalidRequest(Violation("model_id", "exactly one of model_id and provider_id must be set"))
        with self._database.transaction() as tx:
            if model_id:
                _found(models.get(tx, model_id), model_id)
            elif providers.get(tx, provider_id) is None:
                raise ProviderNotFound(provider_id=provider_id)
            return model_changes.list_page(
                tx, page, model_id=model_id, provider_id=provider_id, start_time=start_time, end_time=end_time
            )

    @contextmanager
    def _changing(self, who: Principal, method: str, model_id: str, etag: str) -> Iterator[_ModelChange]:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.system() as tx:
            models.hold(tx, model_id.partition("/")[0])
            before = _found(models.lock(tx, model_id), model_id)
            require_etag(etag, before.version)
            yield _ModelChange(tx, who, method, before)


class _ModelChange:
    """One change of a locked model."""

    def __init__(self, tx: Tx, who: Principal, method: str, before: Model) -> None:
        self._tx, self._who, self._method, self.before = tx, who, method, before

    def unwritten(self) -> Written[Model]:
        """The model as it is."""
        return Written(self._shown(), changes.current(self._tx).rev)

    def commit(self, wanted: Model) -> Written[Model]:
        models.update(self._tx, wanted)
        after = self._shown()
        audit.write(
            self._tx, self._who, self._method, ("model", wanted.model_id), before=self.before, after=after
        )
        return Written(after, catalogue_feed.announce(self._tx, [wanted.model_id]))

    def _shown(self) -> Model:
        return _found(models.get(self._tx, self.before.model_id), self.before.model_id)


def _found(model: Model | None, model_id: str) -> Model:
    if model is None:
        raise ModelNotFound(model_id=model_id)
    return model


def edit(model: Model, fields: Mapping[str, Any]) -> Model:
    """The model with fields set by an admin. Raises InvalidRequest."""
    unknown = sorted(fields.keys() - MUTABLE)
    if unknown:
        allowed = ", ".join(sorted(MUTABLE))
        raise InvalidRequest(Violation("update_mask", f"{', '.join(unknown)}: not one of {allowed}"))
    return edited(model, fields, datetime.now(UTC))


def _set_fields(filter: ModelFilter) -> dict[str, Any]:
    """A filter for the audit log: what is set, as JSON."""
    return {
        name: str(value) if name == "max_input_price_usd" else value
        for name, value in asdict(filter).items()
        if value not in (None, "", ())
    }
