"""Configuration as code: planning, applying, exporting and undoing files."""
