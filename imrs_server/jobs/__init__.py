"""Background loops; each does its work under an advisory lock of the database."""
