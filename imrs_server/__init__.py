"""The server of the Intelligent Model Routing System."""

__version__ = "0.1.0"
