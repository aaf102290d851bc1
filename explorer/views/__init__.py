"""How it is shown: tables, figures, report."""
