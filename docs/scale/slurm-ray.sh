#!/bin/bash
# Four nodes of eight GPUs as one Ray cluster. The first node holds the driver and the store; the others come and go.
#SBATCH --job-name=mi-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
set -eu
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --nodes=1 --ntasks=1 -w "$head" ray start --head --node-ip-address="$head" --port=6379 --num-gpus=8 --block &
sleep 20
srun --nodes=3 --ntasks=3 --exclude="$head" ray start --address="$head:6379" --num-gpus=8 --block &
python -m mi_explorer sweep --pair qwen3-4b --device cuda --task aime25 --lambda 0:1:0.1 --samples 64 --cap 32768 \
  --name aime --ray "$head:6379"
