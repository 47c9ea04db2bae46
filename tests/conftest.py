"""Shared by all tests: one thread, so that runs are repeatable and do not crowd each other."""

import torch

torch.set_num_threads(1)
