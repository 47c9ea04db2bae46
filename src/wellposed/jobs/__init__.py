"""What the commands do, as library functions: read, recover, judge, write, report.

A job is a frozen dataclass of plain values; with the hash of its input it determines every
file of its folder. Doing it again in the same folder goes on where it stopped: its stages are
runs of their own, and finished ones are read back.
"""
