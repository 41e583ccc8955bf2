#!/usr/bin/env bash
#BSUB -J jobqueue
#BSUB -o jobqueue-%J.out
#BSUB -e jobqueue-%J.err
#BSUB -n 4
#BSUB -R "span[hosts=1]"
#BSUB -M 17179870
#BSUB -W 00:30

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

JOBQUEUE_JOB_ID=$LSB_JOBID$([ "${LSB_JOBINDEX:-0}" = 0 ] || echo "[$LSB_JOBINDEX]")
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
