"""What is proved, made computable: planners from theorems, exact laws."""
