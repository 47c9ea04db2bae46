"""Networks that were trained elsewhere: their architecture, and readers of their files."""
