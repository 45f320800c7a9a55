"""The history of another system: calls and their ratings from a CSV file, through the API of a server."""
