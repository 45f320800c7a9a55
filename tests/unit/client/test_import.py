from __future__ import annotations

import subprocess
import sys

import pytest

import imrs_client

STANDARD_LIBRARY_ONLY = ["imrs_client", "imrs_client.ids", "imrs_client.decide", "imrs_client.tasks"]


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_the_decision_is_imported_without_grpc(module: str) -> None:
    heavy = "{name for name in sys.modules if name.partition('.')[0] in ('grpc', 'google', 'numpy')}"
    code = f"import sys, {module}; found = {heavy}; assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(imrs_client, name).__name__ == name for name in imrs_client.__all__)
    assert set(imrs_client.__all__) <= set(dir(imrs_client))
    with pytest.raises(AttributeError, match="nothing"):
        _ = imrs_client.nothing
