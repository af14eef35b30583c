"""Failures on paper: which hosts fail at which moment of a plan, and whether their VMs find room elsewhere."""
