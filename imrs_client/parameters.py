"""Parameters of a model call, merged over the layers of configuration as the server merges them."""

from __future__ import annotations

from typing import Final

from imrs_client.v1 import Parameters

_SCALARS: Final = ("temperature", "top_p", "max_output_tokens")


def resolve(*layers: Parameters) -> Parameters:
    """What a call is made with: layers from the weakest to the strongest, the last to set a field wins.

    ``extra`` merges key by key, and a null in it takes the key away from what lies below.
    """
    merged = Parameters()
    for layer in layers:
        for name in _SCALARS:
            if layer.HasField(name):
                setattr(merged, name, getattr(layer, name))
        if layer.HasField("stop"):
            merged.stop.CopyFrom(layer.stop)
        for key, value in layer.extra.fields.items():
            merged.extra.fields[key].CopyFrom(value)
    dropped = [key for key, value in merged.extra.fields.items() if value.WhichOneof("kind") == "null_value"]
    for key in dropped:
        del merged.extra.fields[key]
    if not merged.extra.fields:
        merged.ClearField("extra")
    return merged
