"""PostgreSQL: the only part that knows psycopg."""
