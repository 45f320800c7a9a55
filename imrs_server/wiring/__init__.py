"""The composition root: settings are read here, and passed down as values."""

from imrs_server.wiring.app import App
from imrs_server.wiring.outside import trust
from imrs_server.wiring.place import Place

__all__ = ["App", "Place", "trust"]
