"""What to do about an error of the server: the next command, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imrs_client import ImrsError

# Reason -> advice, formatted with what the error is about.
_ADVICE: Final = {
    "ADDRESS_FORBIDDEN": "Private networks are allowed by IMRS_PROVIDER_ALLOW of the server.",
    "AGENT_EXISTS": "Change it with `imrs agents update {agent_id}`.",
    "AGENT_NOT_FOUND": "See `imrs agents list`; a platform admin names the tenant with --tenant.",
    "BUDGET_NOT_FOUND": "See `imrs budgets list`.",
    "CREDENTIAL_MISSING": "Give it a key: `imrs providers set-key {provider_id}`.",
    "DATABASE_UNAVAILABLE": "`imrs doctor` where the server runs tells more.",
    "DECISION_NOT_FOUND": "See `imrs decisions list`.",
    "ENDPOINT_NOT_FOUND": "See `imrs endpoints list`.",
    "ETAG_MISMATCH": "It was changed meanwhile: look at it again, then repeat.",
    "FEEDBACK_NOT_FOUND": "See `imrs feedback list`.",
    "MODEL_EXISTS": "Change it with `imrs models update {model_id}`.",
    "MODEL_NOT_FOUND": "Find it with `imrs models list --search WORD`, or sync its provider.",
    "NO_ELIGIBLE_MODEL": "`imrs agents models {agent_id} --effective` says why of each.",
    "PREFERENCE_NOT_FOUND": "See `imrs preferences list`.",
    "PROVIDER_EXISTS": "Change it with `imrs providers update {provider_id}`.",
    "PROVIDER_NOT_FOUND": "See `imrs providers list`.",
    "RULE_NOT_FOUND": "See `imrs agents rules {agent_id}`.",
    "SYNC_SUSPICIOUS": "Look with --dry-run; --force goes on.",
    "TOKEN_EXPIRED": "Sign a new one with `imrs token`.",
    "TOKEN_INVALID": "The server must have the secret that signed it: compare IMRS_JWT_SECRETS.",
    "VAULT_FORBIDDEN": "`imrs doctor` where the server runs tells which right is missing.",
    "VAULT_SEALED": "An operator must unseal Vault.",
    "VAULT_UNREACHABLE": "`imrs doctor` where the server runs tells more.",
}
_SHOULD_BE: Final = {"model_id": "MODEL_ID", "agent_id": "AGENT_ID", "provider_id": "PROVIDER_ID"}


def of(error: ImrsError) -> str:
    """A sentence or two, or nothing."""
    told = _ADVICE.get(error.reason, "").format_map(_SHOULD_BE | error.metadata)
    if error.reason != "NO_ELIGIBLE_MODEL":
        return told
    removed = [f"{name} {count}" for name, count in error.metadata.items() if count.isdecimal()]
    return f"Removed by {', '.join(removed)}. {told}" if removed else told
