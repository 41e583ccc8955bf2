#!/usr/bin/env bash
#$ -S /bin/bash
#$ -N jobqueue
#$ -cwd
#$ -j y
#$ -l h_rt=00:30:00
#$ -notify

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

JOBQUEUE_JOB_ID=$JOB_ID$([ "${SGE_TASK_ID:-undefined}" = undefined ] || echo ".$SGE_TASK_ID")
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
