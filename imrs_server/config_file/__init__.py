"""Configuration files: YAML with positions, the schema, environments, and how a file is written."""
