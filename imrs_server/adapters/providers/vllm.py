"""vLLM's list: OpenAI's, with the length that the server was started with.

GET {models_url} -> ``{"object": "list", "data": [{"id", "root", "parent", "max_model_len", "permission"}]}``.
``parent`` is set for a LoRA adapter, whose length is its parent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, option_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel


class VLLM(Dialect):
    """The dialect ``vllm``. A key is sent only where there is one."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        return Call(url=access.provider.models_url, headers={**option_headers(access), **bearer(access)})

    def entries(self, access: Access, items: Iterable[Any]) -> Iterator[Any]:
        """Adapters come after the models that they adapt, and have their lengths."""
        del access
        lengths: dict[str, Any] = {}
        for item in items:
            if not isinstance(item, dict):
                yield item
                continue
            parent = item.get("parent")
            if isinstance(parent, str) and item.get("max_model_len") is None and parent in lengths:
                yield {**item, "max_model_len": lengths[parent]}
                continue
            if isinstance(item.get("id"), str) and parent is None:
                lengths[item["id"]] = item.get("max_model_len")
            yield item

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        # The id is whatever --served-model-name says; the root is what was loaded.
        root = item.get("root")
        return described(
            access,
            item.get("id"),
            made_of=root if isinstance(root, str) and item.get("parent") is None else "",
            context_length=item.get("max_model_len"),
        )
