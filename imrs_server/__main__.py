"""``python -m imrs_server`` is the command ``imrs``."""

from imrs_server.cli import main

main()
