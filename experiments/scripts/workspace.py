"""Make a wandb workspace that compares runs: their tables, samples and curves.

    python experiments/scripts/workspace.py --entity TEAM --project avsim runs/a runs/b

Needs `pip install 'avsim[workspaces]'`, an account (`wandb login`) and runs that were synced (`wandb sync`).
`avsim compare --workspace` does the same; start from this file for a workspace of your own.
"""

import argparse
from pathlib import Path

from avsim.report.columns import read_columns
from avsim.report.compare_wandb import save, workspace

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a wandb workspace for runs.")
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folders of runs, for their metrics"
    )
    parser.add_argument("--entity", required=True, help="user or team that owns the project")
    parser.add_argument("--project", default="avsim")
    arguments = parser.parse_args()
    made = workspace(read_columns(arguments.runs), arguments.entity, arguments.project)
    print(save(made))
