"""Every claim about speed: rows that print a figure and what it is measured against, in one run."""
