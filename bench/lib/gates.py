"""What must hold, each with the figure it is read from."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Gate:
    """A figure, and the limit it may not miss."""

    title: str
    read: object
    limit: float
    at_least: bool = True

    @property
    def words(self):
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


def ratio(row):
    """How many times less processor time an operation takes here than at the peer."""
    return lambda figures: figures["oidc-provider"][row]["server_cpu_us"] / figures["vestibule"][row]["server_cpu_us"]


def at(*path):
    def read(figures):
        for name in path:
            figures = figures[name]
        return figures
    return read


def growth(figures):
    flat = figures["flatness"]
    return flat["many"]["server_cpu_us"] / flat["few"]["server_cpu_us"]


GATES = [
    Gate("refresh rotation, times less", ratio("refresh"), 9),
    Gate("refresh rotation, Redis' own, us", at("vestibule", "refresh", "redis_cpu_us"), 20, at_least=False),
    Gate("client_credentials, times less", ratio("client-credentials"), 5),
    Gate("discovery, times less", ratio("discovery"), 5),
    Gate("published keys, times less", ratio("jwks"), 5),
    Gate("dynamic registration, times less", ratio("register"), 6),
    Gate("code flow with sign-in, times less", ratio("code"), 8),
    Gate("code flow, signed in, times less", ratio("code-signed-in"), 8),
    Gate("idle, MiB", at("vestibule", "idle_mib"), 15, at_least=False),
    Gate("start to listening, ms", at("vestibule", "start", "listening_ms"), 25, at_least=False),
    Gate("refresh with many in Redis, times with few", growth, 1.2, at_least=False),
    Gate("a family's record in Redis, bytes", at("flatness", "record_bytes"), 350, at_least=False),
    Gate("a family with its indexes in Redis, bytes", at("flatness", "family_bytes"), 600, at_least=False),
    Gate("durable rotation, 8 callers, of bare redb", at("store", "ratio_8"), 0.85),
    Gate("durable rotation, 64 callers, of bare redb", at("store", "ratio_64"), 0.85),
]


def judge(gate, figures):
    """The figure, and whether it holds; a figure that was not measured is said to be so."""
    try:
        value = gate.read(figures)
    except (KeyError, TypeError):
        value = None
    if value is None:
        return None, "not measured"
    holds = value >= gate.limit if gate.at_least else value <= gate.limit
    return value, "ok" if holds else "MISSED"
