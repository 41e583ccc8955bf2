#!/usr/bin/env bash
#SBATCH -J dask-worker
#SBATCH -o /home/ada/logs/dask-worker-%A_%a.out
#SBATCH -e /home/ada/logs/dask-worker-%A_%a.err
#SBATCH -p regular
#SBATCH -A P123
#SBATCH -n 1
#SBATCH -N 1
#SBATCH --cpus-per-task=24
#SBATCH --mem=94G
#SBATCH -t 12:00:00
#SBATCH --signal=B:USR1@120

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
exec srun -n 1 -c 20 python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 6 \
    --nthreads 4 \
    --memory-limit 15883MiB \
    --name "dask-worker-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 43200 \
    --walltime-margin 120 \
    --death-timeout 90 \
    --local-directory "$TMPDIR/$USER" \
    --interface ib0 \
    --resources GPU=1 \
    --preload site_setup.py
