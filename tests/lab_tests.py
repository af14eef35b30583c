"""What tests on real hosts in a lab have in common."""

import pytest

from slacktide.lab import requirements

ON_A_LAB = [
    pytest.mark.integration,
    pytest.mark.lab,
    pytest.mark.skipif(
        bool(requirements.missing()),
        reason=f"THE LAB DID NOT RUN: {requirements.missing()}; lab/install-on-debian helps",
    ),
]
"""Marks of such a test: where the machine has no lab, it is skipped, and says so."""
ON_LINUX_GUESTS = [
    *ON_A_LAB[:2],
    pytest.mark.skipif(
        bool(requirements.missing("linux")),
        reason=f"GUESTS OF LINUX DID NOT RUN: {requirements.missing('linux')}; lab/install-on-debian helps",
    ),
]
"""The same where guests are of Linux."""
