"""What a cluster with authentication and encryption needs, made by the commands of docs/deploy.md."""

import re
import subprocess
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1] / "docs" / "deploy.md"


def commands(heading: str) -> str:
    """Return the shell commands below a heading of docs/deploy.md."""
    section = DEPLOY.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def make_secrets(folder: Path, addresses: dict[str, str]) -> dict[str, str]:
    """Make an authority, a token and a certificate for each name and address; return the first one's environment."""
    script = commands("Secrets")
    assert "openssl" in script
    assert "ray get-auth-token" not in script, "it would write to the home of who runs the tests"
    folder.mkdir()
    for name, address in addresses.items():
        subprocess.run(
            ["bash", "-euc", script],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "NAME": name, "ADDRESS": address},
            check=True,
            capture_output=True,
        )
    return environment(folder, next(iter(addresses)))


def environment(folder: Path, name: str) -> dict[str, str]:
    """Return what a node's processes have in their environment, as its unit in docs/deploy.md says."""
    unit = (DEPLOY.read_text()).split("# /etc/slacktide/ray.env\n", 1)[1].split("```", 1)[0]
    found = dict(line.split("=", 1) for line in unit.splitlines() if line.startswith("RAY_"))
    places = {
        "/etc/slacktide/token": folder / "token",
        "/etc/slacktide/node.crt": folder / f"{name}.crt",
        "/etc/slacktide/node.key": folder / f"{name}.key",
        "/etc/slacktide/ca.crt": folder / "ca.crt",
    }
    return {key: str(places.get(value, value)) for key, value in found.items()}
