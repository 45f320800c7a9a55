"""What a server has seen of Vault: whether it answers, and which keys are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imrs_server.domain.credential import CredentialPath

if TYPE_CHECKING:
    from imrs_server.domain.provider import Provider


@dataclass(frozen=True, slots=True)
class Sighting:
    """A look at one key, when the database noted it in version ``noted`` (None: no key noted)."""

    noted: int | None
    usable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultView:
    """Equal views of one revision of the index give equal answers.

    A sighting counts as long as the database notes what it noted at that time. What was not looked at since,
    such as a key that was set a moment ago, is believed to be as the database says.
    """

    answers: bool = True
    sightings: Mapping[CredentialPath, Sighting] = field(default_factory=dict)

    def usable(self, path: CredentialPath, noted: int | None) -> bool:
        """Whether a call could get the key at ``path``, of which the database notes the version."""
        if not self.answers:
            return False
        seen = self.sightings.get(path)
        return seen.usable if seen is not None and seen.noted == noted else noted is not None

    def provider(self, provider: Provider) -> Provider:
        """The provider with ``key_usable`` as it was seen."""
        path = CredentialPath(provider.provider_id)
        return replace(provider, key_usable=self.usable(path, provider.key_version))


NEVER_LOOKED = VaultView()
