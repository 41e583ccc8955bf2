#!/usr/bin/env bash
#$ -S /bin/bash
#$ -N dask-worker
#$ -cwd
#$ -j y
#$ -o /home/ada/logs/
#$ -P P123
#$ -l h_vmem=4G
#$ -l h_rt=12:00:00
#$ -pe smp 24
#$ -notify

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=$JOB_ID$([ "${SGE_TASK_ID:-undefined}" = undefined ] || echo ".$SGE_TASK_ID")
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
