"""Real hosts side by side on one machine: namespaces with a libvirtd each, shaped links, tiny guests that beat."""
