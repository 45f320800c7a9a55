"""Configurations of other systems, read into one file of ours; nothing of theirs is run or written."""
