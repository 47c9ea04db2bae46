"""Training denoisers from clean signals."""
