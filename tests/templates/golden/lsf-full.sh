#!/usr/bin/env bash
#BSUB -J dask-worker
#BSUB -o /home/ada/logs/dask-worker-%J.%I.out
#BSUB -q regular
#BSUB -P P123
#BSUB -n 25
#BSUB -M 120000
#BSUB -W 12:00
#BSUB -x
#BSUB -R "rusage[mem=4GB]"

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

module load python
echo "on $(hostname)"

JOBQUEUE_JOB_ID=$LSB_JOBID$([ "${LSB_JOBINDEX:-0}" = 0 ] || echo "[$LSB_JOBINDEX]")
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
