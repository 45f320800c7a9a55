"""Between messages and domain values, both ways, and nothing else."""
