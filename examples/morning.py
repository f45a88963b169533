"""A planner's morning: today's stock as CSV in, today's orders as CSV out.

    pip install ./service/client
    export HERENOW_SERVER=https://plan.example HERENOW_API_KEY=hnk_…
    python examples/morning.py north-stores@production on_hand.csv

It asks the policy that is in use, writes `orders.csv` beside the stock, and says what to look at first. It needs the
client alone; whatever is wrong with the file is named by line or field.
"""

from __future__ import annotations

import sys
from pathlib import Path

from herenow_client import Client, HerenowError, Refused


def main(policy: str, stock: Path) -> int:
    """The exit code: 0 for orders, 2 for what is wrong with the input, 1 for a service that gave no answer."""
    try:
        with Client() as herenow:
            state = herenow.policies.state_of_files(policy, {"on_hand": stock}).state
            answer = herenow.policies.recommend(policy, state, explain=True)
            sheet = herenow.recommendations.file(answer.recommendation_id, "csv")
    except Refused as refused:
        print(refused, file=sys.stderr)
        for error in refused.errors:
            print(f"  {error.pointer}: {error.detail}", file=sys.stderr)
        return 2
    except HerenowError as error:
        print(error, file=sys.stderr)
        return 1
    stock.with_name("orders.csv").write_bytes(sheet)
    print(f"{answer.policy.name}:{answer.policy.version} decided ({answer.recommendation_id})")
    for alert in answer.alerts:
        print(f"{alert.severity}: {alert.title}. {alert.detail}")
    if not answer.in_training_range:
        print("Training has not seen a state like this one: look twice.")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: morning.py POLICY STOCK.csv")
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
