"""Low-rank recovery: one file a method, named as in the paper."""
