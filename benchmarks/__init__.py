"""One command a figure or a comparison: ``python -m benchmarks NAME``; see README.md here."""
