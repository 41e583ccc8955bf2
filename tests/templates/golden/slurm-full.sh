#!/usr/bin/env bash
#SBATCH -J dask-worker
#SBATCH -o /home/ada/logs/dask-worker-%J.out
#SBATCH -e /home/ada/logs/dask-worker-%J.err
#SBATCH -p regular
#SBATCH -A P123
#SBATCH --cpus-per-task=12
#SBATCH --mem=36gb
#SBATCH -t 12:00:00
#SBATCH -C haswell
#SBATCH --exclusive

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
exec srun -n 1 -c 20 python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 6 \
    --nthreads 4 \
    --memory-limit 15883MiB \
    --name "dask-worker-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --death-timeout 90 \
    --local-directory "$TMPDIR/$USER" \
    --interface ib0 \
    --resources GPU=2 \
    --exit-record "/home/ada/.jobqueue/ada-1/exits/$JOBQUEUE_JOB_ID.json" \
    --preload site_setup.py
