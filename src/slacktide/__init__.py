"""Slacktide patches a whole fleet of VM hosts without its guests noticing."""

from typing import Final

__version__: Final = "0.1.0"
