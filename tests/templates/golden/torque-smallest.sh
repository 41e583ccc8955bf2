#!/usr/bin/env bash
#PBS -N jobqueue
#PBS -l nodes=1:ppn=4
#PBS -l mem=16GB
#PBS -l walltime=00:30:00

# When the job began: its walltime counts from here.
export JOBQUEUE_JOB_STARTED=$(date +%s)

# PBS starts jobs in the home folder.
cd "${PBS_O_WORKDIR:-.}"

JOBQUEUE_JOB_ID=${PBS_JOBID:-$SLURM_JOB_ID}
exec /opt/python/bin/python -m jobqueue.worker \
    tls://10.1.2.3:40123,tls://192.168.0.5:40123 \
    --credentials /home/ada/.jobqueue/ada-1/credentials \
    --nworkers 1 \
    --nthreads 4 \
    --memory-limit 16320MiB \
    --name "jobqueue-${JOBQUEUE_JOB_ID%%.*}" \
    --job-id "$JOBQUEUE_JOB_ID" \
    --pool default \
    --walltime 1800 \
    --walltime-margin 120 \
    --death-timeout 60
