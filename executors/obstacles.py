"""What a migration waits for, in words."""

from slacktide.executors.program import Program


def waits_for(program: Program, obstacle: tuple[str, int] | None) -> str:
    """Return what keeps a migration from starting, as a person reads it."""
    if obstacle is None:
        return "waits for what will not come"
    kind, number = obstacle
    if kind == "service":
        most = program.max_moving[number]
        return f"its service moves {most} {'VM' if most == 1 else 'VMs'} at once already"
    host = program.hosts.ids[number]
    if kind == "nic":
        return f"{host} carries as much migration traffic as it may"
    return f"{host} has no room for it and nothing will leave it"
