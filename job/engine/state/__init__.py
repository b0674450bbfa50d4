"""What a model remembers: variables, tables and how they get their first values."""
