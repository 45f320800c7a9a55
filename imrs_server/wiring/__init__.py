"""The composition root: settings are read here, and passed down as values."""

from imrs_server.wiring.app import App, Place
from imrs_server.wiring.outside import trust

__all__ = ["App", "Place", "trust"]
