"""The driver for real hosts, through libvirt: one module for each thing it has to know."""
