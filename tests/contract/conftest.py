"""The protos as buf builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor_pb2 import DescriptorProto

PROTOS = Path(__file__).resolve().parents[2] / "protos"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FileDescriptorProto]:
    """The package's files, comments included."""
    image = tmp_path_factory.mktemp("protos") / "imrs.binpb"
    buf = Path(sys.executable).parent / "buf"
    subprocess.run([buf, "build", "--as-file-descriptor-set", "-o", image], cwd=PROTOS, check=True)
    found = FileDescriptorSet.FromString(image.read_bytes()).file
    return [file for file in found if file.package == "imrs.v1"]


@pytest.fixture(scope="session")
def comments(files: list[FileDescriptorProto]) -> dict[str, str]:
    """``Message.field`` -> what the protos say of it, in one line; nested messages by their own name."""

    def below(at: tuple[int, ...], message: DescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
        for i, field in enumerate(message.field):
            yield f"{message.name}.{field.name}", (*at, 2, i)
        for i, nested in enumerate(message.nested_type):
            yield from below((*at, 3, i), nested)

    found = {}
    for file in files:
        told = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        for i, message in enumerate(file.message_type):
            for name, path in below((4, i), message):
                found[name] = " ".join(told.get(path, "").split())
    return found
