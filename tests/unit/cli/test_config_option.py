"""Which configuration file a server watches: what the command line says goes over the environment."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from imrs_server.cli import config_option
from imrs_server.settings import Settings

TENANT, OTHER = UUID(int=1), UUID(int=2)


def settings() -> Settings:
    return Settings.model_construct(
        config_file=Path("/etc/models.yaml"), config_tenant=TENANT, config_environment="staging"
    )


def test_what_is_not_said_comes_from_the_environment() -> None:
    assert config_option.chosen(settings(), None, None, "") == settings()


def test_what_is_said_wins_and_a_file_is_found_wherever_the_workers_run() -> None:
    found = config_option.chosen(settings(), Path("here.yaml"), OTHER, "development")
    assert found.config_file == Path.cwd() / "here.yaml"
    assert (found.config_tenant, found.config_environment) == (OTHER, "development")
