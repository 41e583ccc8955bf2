#!/usr/bin/env bash
#SBATCH -J jobqueue
#SBATCH -n 1
#SBATCH -N 1
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH -t 00:30:00
#SBATCH --signal=B:USR1@120

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

JOBQUEUE_JOB_ID=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 1 \
    --nthreads 4 \
    --memory-limit 16320MiB \
    --name "jobqueue-$JOBQUEUE_JOB_ID" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 1800 \
    --walltime-margin 120 \
    --death-timeout 60
