"""Many pictures on many machines, by Ray Data: restore, encode, find anomalies."""
