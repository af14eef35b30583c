"""Where campaigns are kept: a SQLite file or a PostgreSQL database, its schema, and what is asked of campaigns."""
