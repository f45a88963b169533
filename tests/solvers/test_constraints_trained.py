"""Training against the optimum of every constraint (`benchmarks.constraints`).

Minutes in all, so they run under `make bench`.
"""

import pytest

from benchmarks.constraints import families, measure
from solvers.evaluation import Z95
from tests.oracles.constrained import CASES

SHARE = 0.01  # of the optimum that a policy may cost more


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CASES)
def test_a_trained_policy_is_within_a_stated_share_of_the_optimum(name: str) -> None:
    found = measure(name, families(name)[0], 0)
    print(f"\n{name}: {found}")
    assert found.gap + Z95 * found.error <= SHARE
    assert found.gap > -4 * found.error - 0.002, "nothing beats the optimum"
