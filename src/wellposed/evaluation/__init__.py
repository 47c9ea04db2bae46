"""How near draws and estimates are to the truth, and whether stated uncertainty holds."""
