"""What a person reads: figures, tables, pages."""
