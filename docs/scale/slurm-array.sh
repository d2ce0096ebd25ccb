#!/bin/bash
# Eight jobs of one GPU each, no Ray: every job makes its shard into a store of its own, the last step merges them.
#SBATCH --job-name=mi-sweep
#SBATCH --array=1-8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
set -eu
python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --lambda 0:1:0.1 --samples 8 --cap 32768 \
  --name aime --shard "${SLURM_ARRAY_TASK_ID}/8" --home "stores/${SLURM_ARRAY_TASK_ID}" --quiet
# when all have ended:
#   python -m mi_explorer study merge aime stores/*/studies.db
