"""The interfaces of other packages, on steadfast: change the import, and nothing else."""
