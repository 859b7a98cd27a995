"""What a test of another's suite came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """`status`: passed, failed, skipped or warned; `detail`: why, in a line."""

    status: str
    detail: str = ""


def check(outcomes, name, step):
    """Runs `step` and notes under `name` what came of it; what it gives back, or None."""
    try:
        given = step()
    except AssertionError as why:
        outcomes[name] = Outcome("failed", " ".join(str(why).split())[:500])
        return None
    outcomes[name] = Outcome("passed")
    return given
