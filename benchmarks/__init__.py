"""What the README's numbers come from: each script prints a table, with machine and date."""
